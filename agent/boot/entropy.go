package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// Entropy waits until the kernel's random generator is ready. Without it, the first use of randomness would block for ever
// and nobody would see why.
type Entropy struct {
	// Ready asks the kernel without blocking; KernelEntropy on a real machine.
	Ready func() (bool, error)
	// After is time.After, or a fake of tests.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
	// Poll is the time between questions, Remind the time between messages.
	Poll, Remind time.Duration
}

// Wait returns when there is entropy. It has no bound of its own: nothing secure can be done without.
func (e Entropy) Wait(ctx context.Context) error {
	for waited := time.Duration(0); ; waited += e.Poll {
		ready, err := e.Ready()
		if err != nil {
			return fmt.Errorf("asking for entropy: %w", err)
		}
		if ready {
			return nil
		}
		if waited%e.Remind == 0 {
			e.Log.Info("waiting for entropy: the machine has no hardware random generator that the kernel knows; "+
				"a virtual machine needs virtio-rng or a CPU with rdrand", "seconds", waited.Seconds())
		}
		select {
		case <-e.After(e.Poll):
		case <-ctx.Done():
			return fmt.Errorf("waiting for entropy: %w", context.Cause(ctx))
		}
	}
}

// KernelEntropy asks getrandom(2) with GRND_NONBLOCK.
func KernelEntropy() (bool, error) {
	var b [1]byte
	_, err := unix.Getrandom(b[:], unix.GRND_NONBLOCK)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return false, nil
	}
	return false, err
}
