package lifecycle

import (
	"slices"

	"ingot.dev/ingot/crds/reasons"
)

// events tells what changed since the last status. Without a status there is nothing to compare with, and nothing is told:
// lost status must not flood the timeline.
func events(o *Observation, p *Plan) {
	old := map[string]string{}
	for _, c := range o.Server.Status.Conditions {
		old[c.Type] = c.Reason
	}
	for _, c := range p.Conditions {
		before, known := old[c.Type]
		if c.Type == reasons.Ready || !known || before == c.Reason {
			continue
		}
		e := Event{Warning: alarming(c), Reason: c.Reason, Message: c.Message}
		if !slices.Contains(p.Events, e) { // several conditions may wait for the same
			p.Events = append(p.Events, e)
		}
	}
}

// alarming says that a person should look at the condition.
func alarming(c Condition) bool {
	switch c.Reason {
	case reasons.NoBMC, reasons.AccountRunning, reasons.NotRegistered, reasons.PowerRequestRunning, reasons.NeverWiped, reasons.BootRunning, reasons.WipeGranted,
		reasons.WipeRunning, reasons.Claimed, reasons.BindingIncomplete, reasons.Provisioning, reasons.Installed, reasons.Releasing, reasons.ReceiptJudged, reasons.Cordoned, reasons.Paused, reasons.EvidenceNeeded:
		return false
	}
	return c.Status == False
}
