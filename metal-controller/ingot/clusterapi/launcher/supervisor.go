package launcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ingot.dev/ingot/boot-assets/pace"
)

// Waits before a program is run again.
const (
	firstWait   = time.Second
	longestWait = time.Minute
	// steady is how long a run has to last for the next wait to be the first one again.
	steady = 10 * time.Minute
)

// phase is what became of a program.
type phase string

const (
	waiting  phase = "Waiting"  // for its Deployments
	starting phase = "Starting" // not ready yet
	running  phase = "Running"
	failed   phase = "Failed" // it ended, and will be run again
	refused  phase = "Refused"
	stopped  phase = "Stopped" // by who scaled a Deployment to zero, or removed it
)

// state is a phase with what is to be said of it.
type state struct {
	phase   phase
	message string
}

// supervisor runs one program while it is wanted.
type supervisor struct {
	program Program
	site    runner
	changed func()
	settled chan struct{} // closed when it is clear for the first time what became of it
	once    sync.Once

	mu     sync.Mutex
	state  state
	wanted map[string]bool // by Deployment, once one was looked at
	flip   chan struct{}   // closed and replaced when wanted changes
}

// runner prepares a run and does it.
type runner interface {
	run(ctx context.Context, p Program, n int, ready func()) error
	say(format string, args ...any)
}

// RefusedError is a Program's answer to Refuse: why it must not run on what is there, and what to do.
type RefusedError string

func (r RefusedError) Error() string { return string(r) }

func newSupervisor(p Program, r runner, changed func()) *supervisor {
	s := &supervisor{program: p, site: r, changed: changed, settled: make(chan struct{}), wanted: map[string]bool{}, flip: make(chan struct{}), state: state{phase: waiting}}
	for _, x := range p.Providers {
		s.wanted[x.Deployment] = len(p.Objects) > 0 || p.Run == nil
	}
	if !s.want() {
		s.settle()
	}
	return s
}

func (s *supervisor) settle() { s.once.Do(func() { close(s.settled) }) }

// set says what became of the program.
func (s *supervisor) set(p phase, message string) {
	s.mu.Lock()
	changed := s.state != state{p, message}
	s.state = state{p, message}
	s.mu.Unlock()
	if changed {
		s.changed()
	}
	if p != starting && p != waiting {
		s.settle()
	}
}

func (s *supervisor) now() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// observe says whether a Deployment wants the program.
func (s *supervisor) observe(deployment string, want bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted[deployment] == want {
		return
	}
	s.wanted[deployment] = want
	close(s.flip)
	s.flip = make(chan struct{})
}

// want says whether all Deployments want it.
func (s *supervisor) want() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wanted {
		if !w {
			return false
		}
	}
	return true
}

// until waits until the program is wanted or not; false when ctx ended.
func (s *supervisor) until(ctx context.Context, want bool) bool {
	for {
		s.mu.Lock()
		flip := s.flip
		s.mu.Unlock()
		if s.want() == want {
			return true
		}
		select {
		case <-flip:
		case <-ctx.Done():
			return false
		}
	}
}

// run runs the program whenever it is wanted, until ctx ends.
func (s *supervisor) run(ctx context.Context) {
	wait := firstWait
	for n := 1; s.until(ctx, true); n++ {
		began := time.Now()
		err := s.attempt(ctx, n)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			const why = "a Deployment of it is gone, scaled to zero, or of another release"
			s.site.say("%s is stopped: %s", s.program.Name, why)
			s.set(stopped, "it is stopped: "+why)
			wait = firstWait
			continue
		}
		if time.Since(began) > steady {
			wait = firstWait
		}
		s.tell(err, wait)
		if !pace.Wait(ctx, wait) {
			return
		}
		wait = min(2*wait, longestWait)
	}
}

// attempt runs it once; nil when it was not wanted any longer.
func (s *supervisor) attempt(ctx context.Context, n int) error {
	if s.program.Run == nil {
		s.set(running, "")
		<-ctx.Done() // who runs it does not stop it for a Deployment
		return nil
	}
	own, stop := context.WithCancel(ctx)
	defer stop()
	unwanted := make(chan bool, 1)
	go func() {
		unwanted <- s.until(own, false)
		stop()
	}()
	if p := s.now().phase; p != failed && p != refused { // that it ended is said until it is ready
		s.set(starting, "")
	}
	err := s.site.run(own, s.program, n, func() { s.set(running, "") })
	stop()
	if <-unwanted {
		return nil
	}
	if err == nil && ctx.Err() == nil {
		err = errors.New("it ended by itself")
	}
	return err
}

// tell says that a run failed.
func (s *supervisor) tell(err error, wait time.Duration) {
	if no := RefusedError(""); errors.As(err, &no) {
		if s.now().message != err.Error() {
			s.site.say("%s does not run: %v", s.program.Name, err)
		}
		s.set(refused, err.Error())
		return
	}
	s.site.say("%s ended: %v; it is run again in %s", s.program.Name, err, wait)
	s.set(failed, fmt.Sprintf("it ended, and is run again: %v", err))
}
