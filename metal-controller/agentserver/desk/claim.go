package desk

import (
	"context"
	"errors"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Claim judges an agent that enrols for a Server. The level is 1 for the first and only claimant of the boot that the Server expects, and 0 for any
// other boot of a Server that is not accepted, or that has no BMC and waits for an agent. Refusals: ErrGone, ErrForeign, ErrNotExpected, ErrVoided.
func (d *Desk) Claim(ctx context.Context, server string, c lifecycle.Caller) (level int32, err error) {
	installed, contested := false, false
	err = d.records().Update(ctx, server, func(s *metal.Server) (*metal.ServerRecord, error) {
		record, verdict := lifecycle.ClaimBoot(s, c, d.Now())
		level, contested, installed = 0, false, s.Spec.Record != nil && s.Spec.Record.Installed != nil
		switch {
		case verdict == lifecycle.ClaimVoided:
			return record, ErrVoided
		case verdict == lifecycle.ClaimAccepted:
			level = 1
			return record, nil
		}
		switch waiting, waits := lifecycle.Await(s, c, d.Now()); {
		case waits:
			contested = waiting != nil && waiting.Boot != nil && waiting.Boot.Reason == reasons.BootVoided && s.Spec.Record.Boot.Phase != metal.BootVoid
			record = waiting
		case !lifecycle.Believed(s, c) && !lifecycle.Retires(s, c):
			return nil, ErrNotExpected
		}
		return record, nil
	})
	if errors.Is(err, ErrVoided) {
		d.Events.Event(server, true, reasons.IdentityConflict, "Two machines claimed the expected boot "+c.BootID+"; it is void for both.")
	}
	if err == nil && contested {
		d.Events.Event(server, true, reasons.IdentityConflict, "Another agent enrolled while the boot that the agent of this server had acknowledged was under way; that boot is void.")
	}
	if errors.Is(err, ErrNotExpected) && installed { // its machine runs an agent, where its system should run
		d.Sightings.LocalBoot(server)
	}
	if err != nil {
		return 0, err
	}
	return level, nil
}

// Void ends an expected boot whose script was handed to a second address: at most one of the two is the machine, and nobody can tell which. It does
// nothing for a boot that is not live, or not that Server's.
func (d *Desk) Void(ctx context.Context, server, bootID string) error {
	voided := false
	err := d.records().Update(ctx, server, func(s *metal.Server) (*metal.ServerRecord, error) {
		record := lifecycle.VoidBoot(s, bootID, reasons.BootVoided, d.Now())
		voided = record != nil
		return record, nil
	})
	if errors.Is(err, ErrGone) || errors.Is(err, ErrForeign) {
		return nil // nothing of ours is left to end
	}
	if err == nil && voided {
		d.Events.Event(server, true, reasons.IdentityConflict, "Two addresses asked for the script of the expected boot "+bootID+"; it is void for both.")
	}
	return err
}
