// Package rack is a virtual rack: servers as QEMU processes on a switch in a
// network namespace. It proves Ingot against real firmware, real drivers and
// real disks on a machine without any of that hardware.
//
// Layer 2, adapter. sfyra-tests/fakebmc puts a BMC in front of each server
// through the port in rack/machine.
//
// Invariants: the rack never touches the host's own network; the power of a
// server is its QEMU process; disks and firmware variables outlive power
// cycles and the rack itself; after Close no process of the rack is left.
package rack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/netns"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/rack/wire"
)

// KernelArgs are for the kernel line of every guest of a rack. Under emulation
// on a busy host the guest mismeasures its time stamp counter and its clock
// then runs up to 44 times too fast. Products must not use them on hardware.
func KernelArgs() string {
	return "tsc=unstable clocksource=hpet no_timer_check console=ttyS0,115200"
}

// Rack is a set of servers on one switch.
type Rack struct {
	config  Config
	servers []*Server
	byName  map[string]*Server
	lock    *lock

	mu    sync.Mutex
	wires *wire.Switch
}

var (
	_ machine.Machine = (*Server)(nil)
	_ machine.Drive   = (*Server)(nil)
)

// New checks the configuration and readies folders, disks and firmware
// variables. All servers are off. The folder is locked until Close.
func New(ctx context.Context, config Config) (*Rack, error) {
	config.complete()
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("checking the rack: %w", err)
	}
	if err := config.prepare(ctx); err != nil {
		return nil, fmt.Errorf("readying the rack: %w", err)
	}
	r := &Rack{config: config, byName: map[string]*Server{}}
	var err error
	if r.lock, err = lockFolder(config.Dir); err != nil {
		return nil, fmt.Errorf("readying the rack: %w", err)
	}
	if err := r.addServers(); err != nil {
		return nil, errors.Join(fmt.Errorf("readying the rack: %w", err), r.lock.release())
	}
	return r, nil
}

func (r *Rack) addServers() error {
	for i := range r.config.Servers {
		s, err := newServer(&r.config, i)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
		r.byName[s.spec.Name] = s
	}
	return nil
}

// Start makes the switch and its ports in the present network namespace, which
// has to be one of netns.
func (r *Rack) Start(context.Context) error {
	if !netns.Inside() {
		return errors.New("starting the rack: this is the host's own network; start the program through netns.Reexec")
	}
	wires, err := wire.NewSwitch(r.config.Bridge, bridgeMAC(), r.config.Prefix)
	if err != nil {
		return fmt.Errorf("starting the rack: %w", err)
	}
	for _, s := range r.servers {
		for _, tap := range s.taps {
			if err := wires.AddTap(tap); err != nil {
				return errors.Join(fmt.Errorf("starting the rack: %w", err), wires.Close())
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wires = wires
	return nil
}

// Close cuts the power of all servers, waits for their end and removes the
// switch. Disks, firmware variables and logs stay.
func (r *Rack) Close() error {
	var all sync.WaitGroup
	for _, s := range r.servers {
		all.Go(s.close)
	}
	all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var failed []error
	if r.wires != nil {
		failed = append(failed, r.wires.Close())
		r.wires = nil
	}
	if r.lock != nil {
		failed = append(failed, r.lock.release())
		r.lock = nil
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("closing the rack: %w", err)
	}
	return nil
}

// Servers in the order of the configuration.
func (r *Rack) Servers() []*Server { return r.servers }

// Server finds one by name.
func (r *Rack) Server(name string) (*Server, bool) {
	s, ok := r.byName[name]
	return s, ok
}

// Bridge is the device of the switch; DHCP is served there.
func (r *Rack) Bridge() string { return r.config.Bridge }

// Slowness is the factor by which guests take longer than on hardware; arm64 is emulated on every host.
func (r *Rack) Slowness() int {
	if slices.ContainsFunc(r.config.Servers, func(s Spec) bool { return s.Arch == qemu.ARM64 }) {
		return qemu.TCG.Slowness()
	}
	return r.config.Accel.Slowness()
}
