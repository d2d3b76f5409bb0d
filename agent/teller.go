package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
)

// tellPause is the least time between two lines about one disk.
const tellPause = 10 * time.Second

// words for phases on the console; another phase is told as it is called. Done and Failed are told by the wipe itself, with what came out.
var words = map[string]string{
	wipe.PhaseWaiting: "", wipe.PhaseDone: "", wipe.PhaseFailed: "",
	wipe.PhaseLook:                "looking at it",
	wipe.PhaseVerify:              "reading it back",
	string(plan.NVMeFormat):       "it formats itself",
	string(plan.NVMeSanitize):     "it sanitizes itself",
	string(plan.ATASanitize):      "it sanitizes itself",
	string(plan.ATASecurityErase): "it erases itself",
	string(plan.Discard):          "discarding its blocks",
	string(plan.ZeroOut):          "writing zeros",
	string(plan.Overwrite):        "overwriting it",
	string(plan.Signatures):       "removing what marks its contents",
}

// teller says on the console how disks fare.
type teller struct {
	log  *slog.Logger
	now  func() time.Time
	last map[int]time.Time
}

func newTeller(log *slog.Logger, now func() time.Time) *teller {
	return &teller{log: log, now: now, last: map[int]time.Time{}}
}

// tell says a line about each disk of which it said none for a while.
func (t *teller) tell(disks []wipe.Progress) {
	for i, p := range disks {
		word, known := words[p.Phase]
		if !known {
			word = p.Phase
		}
		if last, told := t.last[i]; word == "" || told && t.now().Sub(last) < tellPause {
			continue
		}
		t.last[i] = t.now()
		t.log.Info(fmt.Sprintf("wiping disk %s: %s, %d %%%s", cmp.Or(p.Serial, p.WWID), word, p.Percent, left(p.ETA)))
	}
}

func left(eta time.Duration) string {
	if eta <= 0 {
		return ""
	}
	return ", about " + eta.Round(time.Second).String() + " left"
}
