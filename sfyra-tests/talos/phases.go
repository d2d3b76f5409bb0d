package talos

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Phases that a guest goes through whoever boots it, so that the seconds with Ingot stand beside those of QEMU alone, measured in one run.
const (
	PhaseConfig    = "power-on to config"
	PhaseInstalled = "config to installed and booted"
	PhaseReady     = "installed to node Ready"
	PhaseDisk      = "cut of power to booted"
)

// PhasesFile is the variable that names the file which Stopwatch appends to; without it nothing is kept. .ci/phases prints it as a table.
const PhasesFile = "INGOT_PHASES"

// Stopwatch measures one phase after the other. Who says who boots: a column of the table.
type Stopwatch struct {
	Who   string
	mu    sync.Mutex
	began time.Time
}

// Start begins a phase.
func (w *Stopwatch) Start() { w.turn() }

// turn ends a phase and begins the next one.
func (w *Stopwatch) turn() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.began
	w.began = time.Now()
	return w.began.Sub(was)
}

// Lap ends a phase, keeps its seconds, and begins the next one.
func (w *Stopwatch) Lap(phase string) (err error) {
	took := w.turn()
	name := os.Getenv(PhasesFile)
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // figures, named by whoever runs the tests
	if err != nil {
		return fmt.Errorf("keeping the seconds of a phase: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = fmt.Fprintf(f, "%s\t%s\t%.1f\n", w.Who, phase, took.Seconds())
	return err
}
