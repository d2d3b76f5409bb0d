package bmc

import "context"

// wishEjected notes the wish, unless an order has the BMC.
func (w *worker) wishEjected() {
	w.mu.Lock()
	w.eject = w.next == nil && w.begun == nil
	wished := w.eject
	w.mu.Unlock()
	if wished {
		w.nudge()
	}
}

// tendMedia carries out a wish to eject, and reads whether our image is in a drive. A BMC without virtual media has none of ours.
func (w *worker) tendMedia() error {
	if w.target.MediaURI == "" {
		return nil
	}
	w.mu.Lock()
	eject := w.eject
	w.eject = false
	w.mu.Unlock()
	if eject {
		if err := w.ejectMedia(); shutOut(err) {
			return err
		}
	}
	return w.readMedia()
}

// shutOut says that the BMC does not let us in any more. Other failures of virtual media do not count against a BMC that answers for the power: some are slow
// to read them, and some fail at it.
func shutOut(err error) bool {
	class := ClassOf(err)
	return class == ErrUnauthorized || class == ErrCertificateChanged
}

// readMedia keeps what was read before when the BMC does not say.
func (w *worker) readMedia() error {
	media, ok := w.driver.(MediaDriver)
	if !ok {
		return nil
	}
	inserted := false
	err := w.call(func(ctx context.Context) (err error) {
		inserted, err = media.MediaInserted(ctx)
		return err
	})
	switch {
	case shutOut(err):
		return err
	case err == nil, ClassOf(err) == ErrUnsupported:
		w.publish(func(r *Reading) { r.Media = inserted })
	}
	return nil
}

func (w *worker) ejectMedia() error {
	media, ok := w.driver.(MediaDriver)
	if !ok {
		return nil
	}
	err := w.call(media.EjectMedia)
	if err == nil {
		w.publish(func(r *Reading) { r.Media = false })
	}
	return err
}
