package bmc

import (
	"context"
	"errors"
	"time"
)

const (
	// firstLook and lastLook are the waits between readings after a power order.
	firstLook = time.Second
	lastLook  = 5 * time.Second
	// offLook is the first of the waits that grow to lastLook, for a host that was told to switch itself off by others than its BMC.
	offLook = 2 * time.Second
	// bootTries and bootPause bound how often a boot override that does not show is ordered again. Some BMCs show
	// a new value seconds later.
	bootTries = 3
	bootPause = 10 * time.Second
)

// submit takes an action in, unless its ID is known.
func (w *worker) submit(action Action) {
	w.mu.Lock()
	running := w.begun != nil && w.begun.ID == action.ID
	known := running || w.next != nil && w.next.ID == action.ID || action.ID != "" && w.reading.ActionID == action.ID
	switch {
	case known:
	case action.ID == "":
		w.next = nil
	default:
		w.next, w.eject = &order{Action: action, since: w.now()}, false
	}
	w.mu.Unlock()
	if known {
		return
	}
	w.publish(func(*Reading) {})
	w.nudge()
}

// nudge ends the wait for the next poll.
func (w *worker) nudge() {
	select {
	case w.kick <- struct{}{}:
	default: // one is on its way
	}
}

// begin takes the waiting order. From here on it is not replaced.
func (w *worker) begin() *order {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun, w.next = w.next, nil
	return w.begun
}

// perform runs an order to its end, or puts it back when the BMC could not be asked. The error is of the contact:
// what ends the order is in the Reading.
func (w *worker) perform(action Action) error {
	err := w.carryOut(action.Verb)
	switch ClassOf(err) {
	case ErrUnreachable, ErrUnauthorized, ErrCertificateChanged:
		w.putBack()
		return err
	}
	w.finish(action, err)
	return nil
}

// carryOut does what one verb asks.
func (w *worker) carryOut(verb Verb) error {
	switch verb {
	case ShutDown:
		return w.shutDown()
	case PowerOnFromNetwork:
		if err := w.networkFirst(); err != nil {
			return err
		}
	case PowerOn:
		if err := w.diskFirst(); err != nil {
			return err
		}
	case PowerOff, BootNetworkOnce, BootNetworkAlways:
	}
	if want := verb.wants(); want != "" {
		return w.setPower(want)
	}
	return w.setBoot(verb)
}

// shutDown hands the wish to the host's system and does not wait for it; the polls that follow come sooner for a while.
func (w *worker) shutDown() error {
	err := w.call(w.callShutdown)
	if err == nil {
		w.leave(lastLook)
	}
	return err
}

// leave looks often for a while at a host that is about to switch itself off.
func (w *worker) leave(look time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.now().Before(w.leaving) {
		w.look = look
	}
	w.leaving = w.now().Add(w.plane.options.SettleTimeout)
}

func (w *worker) callShutdown(ctx context.Context) error { return w.driver.Shutdown(ctx) }

// networkFirst lets a host that is off boot from the network once. A BMC that cannot, or says so and does not, is no reason to leave the host off:
// its firmware's own order may do.
func (w *worker) networkFirst() error {
	state, err := w.readPower()
	if err != nil || state != Off {
		return err
	}
	if err = w.setBoot(BootNetworkOnce); unable(err) {
		return nil
	}
	return err
}

// unable says that a BMC cannot do something, or says so and does not.
func unable(err error) bool {
	class := ClassOf(err)
	return class == ErrUnsupported || class == ErrLied
}

// diskFirst takes our image out of a host that is off and about to boot as its firmware is set up: it may be first there.
func (w *worker) diskFirst() error {
	if w.target.MediaURI == "" {
		return nil
	}
	state, err := w.readPower()
	if err != nil || state != Off {
		return err
	}
	if err := w.ejectMedia(); shutOut(err) {
		return err
	}
	return nil
}

// putBack makes the order wait again, unless a newer one does.
func (w *worker) putBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		w.next = w.begun
	}
	w.begun = nil
}

func (w *worker) finish(action Action, err error) {
	w.mu.Lock()
	w.begun = nil
	w.mu.Unlock()
	w.publish(func(r *Reading) {
		r.ActionID, r.ActionErr, r.ActionAt, r.ActionWant = action.ID, err, w.now(), action.Verb.wants()
	})
}

// expire ends an order that waited too long, with the reason it waited for: what was wanted ten minutes ago must not
// happen when the BMC comes back tomorrow.
func (w *worker) expire() {
	w.mu.Lock()
	order, cause := w.next, w.reading.Err
	if order == nil || w.now().Sub(order.since) < w.plane.options.ActionLife {
		w.mu.Unlock()
		return
	}
	w.next = nil
	w.mu.Unlock()
	if cause == nil {
		cause = Fail(ErrUnreachable, "waiting for the BMC", "it did not get to it")
	}
	w.finish(order.Action, cause)
}

// setPower orders a state and reads until it shows.
func (w *worker) setPower(want PowerState) error {
	if err := w.call(func(ctx context.Context) error { return w.driver.SetPower(ctx, want) }); err != nil {
		return err
	}
	end, look := w.now().Add(w.plane.options.SettleTimeout), firstLook
	for {
		state, err := w.readPower()
		switch {
		case err == nil && state == want:
			return nil
		case err != nil && !errors.Is(err, ErrUnreachable):
			return err
		case !w.now().Before(end) && err != nil:
			return err
		case !w.now().Before(end):
			return Fail(ErrLied, "setting power", "it still reads %s %s after the order to be %s", state, w.plane.options.SettleTimeout, want)
		}
		if !w.pause(look, nil) {
			return w.ctx.Err()
		}
		look = min(2*look, lastLook)
	}
}

// setBoot orders network boot; the driver reads it back.
func (w *worker) setBoot(verb Verb) error {
	if verb != BootNetworkOnce && verb != BootNetworkAlways {
		return Fail(ErrUnsupported, "running an action", "unknown verb %.20q", verb)
	}
	var err error
	for range bootTries {
		err = w.call(func(ctx context.Context) error { return w.driver.SetBootNetwork(ctx, verb == BootNetworkOnce) })
		if !errors.Is(err, ErrLied) || !w.pause(bootPause, nil) {
			break
		}
	}
	w.publish(func(r *Reading) {
		switch {
		case unable(err):
			r.NetworkErr = err
		case err == nil:
			r.NetworkErr, r.Media = nil, w.target.MediaURI != ""
		}
	})
	return err
}

func (w *worker) call(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.ctx, w.plane.options.CallTimeout)
	defer cancel()
	return f(ctx)
}
