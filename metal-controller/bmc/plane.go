package bmc

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// Options are the ports and the tempo of a Plane. Only Open is required.
type Options struct {
	// Open connects to a BMC; see drivers.Open.
	Open func(ctx context.Context, target Target) (Driver, error)
	// Wake is called after a reading changed in a way that matters, not after every poll. It must not block.
	Wake func(server string)
	// Now is the clock for stamps: time.Now when nil.
	Now func() time.Time
	// Random gives numbers in [0,1) that spread polls.
	Random func() float64
	// Interval is the time between polls of a BMC that answers: one minute when 0.
	Interval time.Duration
	// CallTimeout bounds one call of a driver: one minute when 0.
	CallTimeout time.Duration
	// SettleTimeout bounds the wait for an acknowledged power order to show: two minutes when 0.
	SettleTimeout time.Duration
	// ActionLife is how long an action may wait for a BMC that does not answer: ten minutes when 0.
	ActionLife time.Duration
	Log        logr.Logger
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&o.Interval, time.Minute)
	set(&o.CallTimeout, time.Minute)
	set(&o.SettleTimeout, 2*time.Minute)
	set(&o.ActionLife, 10*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Wake == nil {
		o.Wake = func(string) {}
	}
	return o
}

// Plane keeps one worker per BMC. Its methods are safe for concurrent use and never wait on a network, Close excepted.
type Plane struct {
	options Options

	mu      sync.Mutex
	closed  bool
	workers map[string]*worker
	// draining are workers of forgotten servers that still end their session.
	draining map[string]<-chan struct{}
	running  sync.WaitGroup
}

// NewPlane makes a plane without BMCs.
func NewPlane(options Options) *Plane {
	return &Plane{options: options.withDefaults(), workers: map[string]*worker{}, draining: map[string]<-chan struct{}{}}
}

// Ensure makes the plane watch a server's BMC. An equal target changes nothing; another one ends the session and
// opens a new one at once, also when the plane had backed off. An action that waits or runs goes over to it.
func (p *Plane) Ensure(server string, target Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.workers[server]
	if p.closed || old != nil && old.target == target {
		return
	}
	fresh := newWorker(p, server, target)
	if old == nil {
		fresh.before = p.draining[server]
	} else {
		fresh.inherit(old)
	}
	p.workers[server] = fresh
	p.running.Go(fresh.run)
}

// Forget stops watching. The session is ended in the background; an action that has not begun is dropped.
func (p *Plane) Forget(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.workers[server]; old != nil {
		delete(p.workers, server)
		p.draining[server] = old.done
		old.retire()
	}
}

// Submit asks for an action. One that has not begun is replaced; the ID that waits, runs or ended last is not run
// again. The zero Action withdraws one that has not begun. It is false when the server is not watched.
func (p *Plane) Submit(server string, action Action) bool {
	w := p.worker(server)
	if w == nil {
		return false
	}
	w.submit(action)
	return true
}

// Refresh asks for a reading soon. It does not shorten the wait after refused credentials.
func (p *Plane) Refresh(server string) {
	if w := p.worker(server); w != nil {
		w.nudge()
	}
}

// AwaitOff asks for a reading soon, and for more of them within seconds until the host reads off or SettleTimeout has passed: it is about to switch itself
// off, and somebody waits for that.
func (p *Plane) AwaitOff(server string) {
	if w := p.worker(server); w != nil {
		w.leave(offLook)
		w.nudge()
	}
}

// EjectMedia asks that the image of the target leaves the drive of the BMC, soon. It is dropped while an action waits or runs, and by the next one: that may
// need the image. Whether it was done is for Reading.Media to say.
func (p *Plane) EjectMedia(server string) {
	if w := p.worker(server); w != nil {
		w.wishEjected()
	}
}

// Latest is what is known now; the power of a server that is not watched is Unknown.
func (p *Plane) Latest(server string) Reading {
	if w := p.worker(server); w != nil {
		return w.latest()
	}
	return Reading{Power: Unknown}
}

// Close ends all sessions and returns when no worker runs any more, a bounded time later.
func (p *Plane) Close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.workers {
		w.retire()
	}
	clear(p.workers)
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Plane) worker(server string) *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workers[server]
}

// drained forgets a worker that has ended.
func (p *Plane) drained(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining[w.server] == w.done {
		delete(p.draining, w.server)
	}
}
