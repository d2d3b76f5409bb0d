package wipe

import (
	"sync"
	"time"
)

// Phases beside the methods of package plan.
const (
	PhaseWaiting = "Waiting"
	PhaseLook    = "Look"
	PhaseVerify  = "Verify"
	PhaseDone    = "Done"
	PhaseFailed  = "Failed"
)

// Progress is how one disk fares.
type Progress struct {
	WWID, Serial string
	// Phase is the method under way, or one of the phases.
	Phase string
	// Percent of the phase, 0 to 100.
	Percent int
	// ETA of the phase; 0 when it is not known.
	ETA time.Duration
}

// gauge is written by a job and read by anybody.
type gauge struct {
	now   func() time.Time
	mu    sync.Mutex
	p     Progress
	began time.Time
}

func (g *gauge) phase(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.p.Phase, g.p.Percent, g.p.ETA, g.began = name, 0, 0, g.now()
	if name == PhaseDone {
		g.p.Percent = 100
	}
}

// percent never goes back within a phase, whatever a disk says.
func (g *gauge) percent(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.p.Percent = max(g.p.Percent, min(max(n, 0), 100))
	g.p.ETA = 0
	if p := g.p.Percent; p > 0 {
		g.p.ETA = g.now().Sub(g.began) / time.Duration(p) * time.Duration(100-p)
	}
}

// part is percent of a whole that may not fit into 64 bits times 100.
func (g *gauge) part(done, total int64) {
	if total > 0 {
		g.percent(int(float64(done) / float64(total) * 100))
	}
}

func (g *gauge) read() Progress {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.p
}
