package fakebmc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const gracefulShutdown = "GracefulShutdown"

// resetTypes are the ResetType values that the virtual server can honour (DSP0268, Resource.ResetType). GracefulShutdown presses its power button.
func (b *BMC) resetTypes() []string {
	types := []string{"On", "ForceOff", "ForceRestart", "PowerCycle"}
	if b.faults.Get().NoShutdown {
		return types
	}
	return append(types, gracefulShutdown)
}

func (b *BMC) postReset(w http.ResponseWriter, r *http.Request) {
	var body struct{ ResetType string }
	if !read(w, r, &body) {
		return
	}
	if err := b.reset(r.Context(), body.ResetType); err != nil {
		failMachine(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *BMC) reset(ctx context.Context, kind string) error {
	order, ok := b.orders()[kind]
	if !ok || !slices.Contains(b.resetTypes(), kind) {
		return fmt.Errorf("%w: ResetType", machine.ErrInvalid)
	}
	b.expireBoot(ctx)
	b.touchBoot()
	fault := b.faults.Get()
	if fault.IgnorePower {
		return nil
	}
	err := order(ctx)
	if fault.Inverted && (errors.Is(err, machine.ErrPoweredOn) || errors.Is(err, machine.ErrPoweredOff)) {
		return nil // it takes the host for what it is not, and so sees no reason to refuse
	}
	return err
}

func (b *BMC) orders() map[string]func(context.Context) error {
	m := b.config.Machine
	return map[string]func(context.Context) error{
		"On":             m.PowerOn,
		"ForceOff":       m.ForceOff,
		gracefulShutdown: m.GracefulShutdown,
		"ForceRestart":   m.Reset,
		"PowerCycle":     b.cycle,
	}
}

// cycle is off, then on: a new process, as removing power is.
func (b *BMC) cycle(ctx context.Context) error {
	if err := b.config.Machine.ForceOff(ctx); err != nil {
		return err
	}
	return b.config.Machine.PowerOn(ctx)
}
