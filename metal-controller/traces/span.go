// Package traces tells OpenTelemetry of boots: each boot is a trace, and each of its stages a span. It adds nothing to what `Server.status.boots` says.
//
// Layer 2.
package traces

import (
	"slices"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const (
	// settles is for how long more may come after a stage that ends a boot: a system tells how it fares, and another replica what it saw.
	settles = 2 * time.Minute
	// silent is for how long a boot that gets nowhere may say nothing.
	silent = 30 * time.Minute
)

// ends are the stages after which a boot that goes well needs no other.
var ends = []string{metal.StageVerified, metal.StageRunning, metal.StageTalosRunning, metal.StageLocalDisk}

// Span is a stretch of time with a name.
type Span struct {
	Name       string
	Start, End time.Time
}

// Wait is how long it is too early to tell of a boot, since more of it may come; zero when it is over. newer says that its server began another one.
func Wait(b metal.BootTimeline, newer bool, now time.Time) time.Duration {
	if newer || len(b.Stages) == 0 {
		return 0
	}
	wait := silent
	if slices.ContainsFunc(b.Stages, func(s metal.BootStage) bool { return slices.Contains(ends, s.Stage) }) {
		wait = settles
	}
	return max(0, wait-max(0, now.Sub(Last(b))))
}

// Last is when something was seen of a boot for the last time; zero when nothing was.
func Last(b metal.BootTimeline) time.Time {
	if len(b.Stages) == 0 {
		return time.Time{}
	}
	return b.Stages[len(b.Stages)-1].At.Time
}

// Spans are the whole boot, which comes first, and each stage until the next one. The last stage has no length; a boot without stages has no spans.
func Spans(b metal.BootTimeline) []Span {
	if len(b.Stages) == 0 {
		return nil
	}
	all := []Span{{Name: "boot", Start: b.Stages[0].At.Time, End: Last(b)}}
	for i, s := range b.Stages {
		next := b.Stages[min(i+1, len(b.Stages)-1)]
		all = append(all, Span{Name: s.Stage, Start: s.At.Time, End: next.At.Time})
	}
	return all
}
