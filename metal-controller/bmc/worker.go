package bmc

import (
	"context"
	"errors"
	"sync"
	"time"
)

// closeTime bounds ending a session.
const closeTime = 10 * time.Second

// worker talks to one BMC under one target. A changed target gets a new worker, which waits for the end of the one
// before it, so that there is never more than one session.
type worker struct {
	plane  *Plane
	server string
	target Target
	ctx    context.Context
	cancel context.CancelFunc
	before <-chan struct{}
	done   chan struct{}
	kick   chan struct{}

	// Of the worker's goroutine alone.
	driver   Driver
	patience patience

	mu sync.Mutex
	// leaving is until when a host that is about to switch itself off is looked at often; look is the wait for the next time.
	leaving time.Time
	look    time.Duration
	reading Reading
	next    *order
	begun   *order
	// eject is the wish that our image leaves the drive. A newer order ends it.
	eject   bool
	retired bool
}

func newWorker(p *Plane, server string, target Target) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	return &worker{
		plane: p, server: server, target: target, ctx: ctx, cancel: cancel,
		done: make(chan struct{}), kick: make(chan struct{}, 1), reading: Reading{Power: Unknown},
	}
}

// inherit retires the worker of the target before and takes over what it knew and had to do.
func (w *worker) inherit(old *worker) {
	old.retire()
	old.mu.Lock()
	defer old.mu.Unlock()
	w.before = old.done
	w.reading.ActionID, w.reading.ActionErr, w.reading.ActionAt = old.reading.ActionID, old.reading.ActionErr, old.reading.ActionAt
	if old.target.Host == w.target.Host && old.target.Port == w.target.Port {
		w.reading.Power, w.reading.At, w.reading.PinSeen, w.reading.ActionWant = old.reading.Power, old.reading.At, old.reading.PinSeen, old.reading.ActionWant
		w.reading.NetworkErr = old.reading.NetworkErr
	}
	if w.next = old.next; w.next == nil {
		w.next = old.begun
	}
	if w.next != nil {
		w.reading.Pending = w.next.ID
	}
}

// retire stops the worker. From now on it publishes nothing.
func (w *worker) retire() {
	w.mu.Lock()
	w.retired = true
	w.mu.Unlock()
	w.cancel()
}

func (w *worker) run() {
	defer w.plane.drained(w)
	defer close(w.done)
	if w.before != nil {
		<-w.before
	}
	defer w.drop()
	for w.ctx.Err() == nil {
		w.turn()
		w.rest()
	}
}

// turn is one contact: open if needed, do what is asked, read the power.
func (w *worker) turn() {
	if w.patience.locked(w.now()) == 0 {
		err := w.contact()
		if w.ctx.Err() != nil {
			return
		}
		w.patience.note(err, w.now())
		w.publish(func(r *Reading) { r.fail(err, w.now()) })
	}
	w.expire()
}

func (w *worker) contact() error {
	if err := w.open(); err != nil {
		return err
	}
	before := w.latest().At
	if order := w.begin(); order != nil {
		if err := w.perform(order.Action); err != nil {
			return w.dropOn(err)
		}
		if w.latest().At != before {
			return w.dropOn(w.tendMedia()) // the order was read back a moment ago
		}
	}
	if _, err := w.readPower(); err != nil {
		return w.dropOn(err)
	}
	return w.dropOn(w.tendMedia())
}

func (w *worker) open() error {
	if w.driver != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.plane.options.CallTimeout)
	defer cancel()
	driver, err := w.plane.options.Open(ctx, w.target)
	if err != nil {
		return err
	}
	w.driver = driver
	return nil
}

// dropOn ends the session after a failure that a new one could mend. After silence it is kept: it may still be valid,
// and a new one per attempt would use up what the BMC has.
func (w *worker) dropOn(err error) error {
	if errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrCertificateChanged) {
		w.drop()
	}
	return err
}

func (w *worker) drop() {
	if w.driver == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), closeTime)
	defer cancel()
	if err := w.driver.Close(ctx); err != nil {
		w.plane.options.Log.V(1).Info("bmc session not ended", "server", w.server, "err", err.Error())
	}
	w.driver = nil
}

// readPower reads the power once and publishes it with the time of the question: a slow BMC saw the host some time before its answer is here, and what
// happened in between must not look older than what it saw.
func (w *worker) readPower() (PowerState, error) {
	ctx, cancel := context.WithTimeout(w.ctx, w.plane.options.CallTimeout)
	defer cancel()
	asked := w.now()
	state, err := w.driver.Power(ctx)
	if err != nil {
		return Unknown, err
	}
	w.publish(func(r *Reading) {
		r.Power, r.At = state, asked
		if pinned, ok := w.driver.(Pinned); ok {
			r.PinSeen = pinned.PinSeen()
		}
	})
	return state, nil
}

// rest waits for the next poll, a nudge or the end.
func (w *worker) rest() {
	wait := w.patience.delay(w.interval(), w.now(), w.plane.options.Random())
	w.mu.Lock()
	if w.next != nil {
		wait = min(wait, w.next.since.Add(w.plane.options.ActionLife).Sub(w.now()))
	}
	w.mu.Unlock()
	w.pause(wait, w.kick)
}

// interval is the time between polls of a BMC that answers.
func (w *worker) interval() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reading.Power == Off {
		w.leaving = time.Time{}
	}
	if !w.now().Before(w.leaving) {
		return w.plane.options.Interval
	}
	look := w.look
	w.look = min(2*look, lastLook)
	return min(look, w.plane.options.Interval)
}

// pause waits for d, a signal or the end of the worker; false at its end.
func (w *worker) pause(d time.Duration, signal <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.ctx.Done():
		return false
	case <-timer.C:
	case <-signal:
	}
	return true
}

func (w *worker) now() time.Time { return w.plane.options.Now() }
