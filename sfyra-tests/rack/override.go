package rack

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// override is what the next start boots. Its own lock keeps readings of it
// free from power changes that take long.
type override struct {
	mu   sync.Mutex
	next machine.BootOverride
}

func (o *override) get() machine.BootOverride {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next
}

func (o *override) set(b machine.BootOverride) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = b
}

// consume clears a Once override that a start used, unless another one was
// set in the meantime.
func (o *override) consume(used machine.BootOverride) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if used.Once && o.next == used {
		o.next = machine.BootOverride{Target: machine.TargetNone}
	}
}

// SetBootOverride implements machine.Machine.
func (s *Server) SetBootOverride(_ context.Context, b machine.BootOverride) error {
	if b.Target == "" || b.Target == machine.TargetNone {
		b = machine.BootOverride{Target: machine.TargetNone}
	}
	if err := checkOverride(b, s.spec.Firmware); err != nil {
		return fmt.Errorf("setting the boot override of %s: %w", s.spec.Name, err)
	}
	s.override.set(b)
	return nil
}

func checkOverride(b machine.BootOverride, firmware qemu.Firmware) error {
	targets := []string{machine.TargetNone, machine.TargetPxe, machine.TargetHdd, machine.TargetCd, machine.TargetUefiHTTP}
	switch {
	case !slices.Contains(targets, b.Target):
		return fmt.Errorf("%w: unknown boot target %q", machine.ErrInvalid, b.Target)
	case b.Target == machine.TargetUefiHTTP && firmware == qemu.BIOS:
		return fmt.Errorf("%w: a BIOS cannot boot through HTTP", machine.ErrInvalid)
	case b.URI != "" && b.Target != machine.TargetUefiHTTP:
		return fmt.Errorf("%w: a URI is for the target %s", machine.ErrInvalid, machine.TargetUefiHTTP)
	}
	return nil
}

// BootOverride implements machine.Machine.
func (s *Server) BootOverride(context.Context) (machine.BootOverride, error) {
	b := s.override.get()
	if b.Target == "" {
		b.Target = machine.TargetNone
	}
	return b, nil
}
