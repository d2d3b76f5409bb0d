package bmc

import "time"

// latest is a copy of the reading.
func (w *worker) latest() Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reading
}

// publish changes the reading and wakes the reconciler if that is news.
func (w *worker) publish(change func(*Reading)) {
	w.mu.Lock()
	if w.retired {
		w.mu.Unlock()
		return
	}
	before := w.reading
	change(&w.reading)
	w.reading.Pending = w.pending()
	now := w.reading
	w.mu.Unlock()
	if !now.differs(before) {
		return
	}
	w.plane.options.Log.V(1).Info("bmc reading changed", "server", w.server, "power", now.Power,
		"err", text(now.Err), "pending", now.Pending, "done", now.ActionID)
	w.plane.options.Wake(w.server)
}

// pending is the ID of the order that waits or runs; the one that waits is what the caller wants last. The lock is held.
func (w *worker) pending() string {
	switch {
	case w.next != nil:
		return w.next.ID
	case w.begun != nil:
		return w.begun.ID
	}
	return ""
}

// fail notes the outcome of a contact. A failure after the handshake brings the certificate that was shown.
func (r *Reading) fail(err error, now time.Time) {
	if ClassOf(err) != ClassOf(r.Err) {
		r.ErrSince = now
	}
	if err == nil {
		r.ErrSince = time.Time{}
	}
	r.Err = err
	if pin := pinOf(err); pin != "" {
		r.PinSeen = pin
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
