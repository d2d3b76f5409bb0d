// Package memory is a machine.Machine without a machine: for tests of what stands in front of one.
//
// Layer 2, leaf. It keeps the rules of machine.Machine: an override is latched by a start, Once is cleared by it,
// a graceful shutdown leaves the power on until GuestEnds is called.
package memory

import (
	"context"
	"io"
	"net"
	"sync"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Machine is in memory and starts powered off. It is safe for concurrent use.
type Machine struct {
	identity machine.Identity

	mu       sync.Mutex
	on       bool
	asked    bool
	override machine.BootOverride
	booted   machine.BootOverride
	starts   int
	orders   []string
	guest    net.Conn
	media    []byte
}

var (
	_ machine.Machine = (*Machine)(nil)
	_ machine.Drive   = (*Machine)(nil)
)

// New makes a machine that is off.
func New(identity machine.Identity) *Machine { return &Machine{identity: identity} }

// order notes a request that would change something.
func (m *Machine) order(name string) { m.orders = append(m.orders, name) }

// start latches the override. The lock is held.
func (m *Machine) start() {
	m.on, m.asked = true, false
	m.starts++
	m.booted = m.override
	if m.override.Once {
		m.override = machine.BootOverride{Target: machine.TargetNone}
	}
}

// PowerState says whether it is on.
func (m *Machine) PowerState(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on, nil
}

// PowerOn starts it.
func (m *Machine) PowerOn(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order("PowerOn")
	if m.on {
		return machine.ErrPoweredOn
	}
	m.start()
	return nil
}

// stop takes the power away, and the serial line with it.
func (m *Machine) stop() {
	m.on = false
	if m.guest != nil {
		_ = m.guest.Close()
	}
}

// ForceOff ends it.
func (m *Machine) ForceOff(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order("ForceOff")
	if !m.on {
		return machine.ErrPoweredOff
	}
	m.stop()
	return nil
}

// GracefulShutdown asks the guest, which ends at GuestEnds.
func (m *Machine) GracefulShutdown(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order("GracefulShutdown")
	if !m.on {
		return machine.ErrPoweredOff
	}
	m.asked = true
	return nil
}

// GuestEnds lets the guest follow a graceful shutdown.
func (m *Machine) GuestEnds() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked {
		m.stop()
	}
}

// Reset is a warm reset, or a cold start when an override is pending.
func (m *Machine) Reset(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order("Reset")
	if !m.on {
		return machine.ErrPoweredOff
	}
	if m.override.Pending() {
		m.start()
	}
	return nil
}

// SetBootOverride replaces the override.
func (m *Machine) SetBootOverride(_ context.Context, override machine.BootOverride) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order("SetBootOverride " + override.Target)
	m.override = override
	return nil
}

// BootOverride is what the next start boots.
func (m *Machine) BootOverride(context.Context) (machine.BootOverride, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.override, nil
}

// InsertMedia fills the drive.
func (m *Machine) InsertMedia(_ context.Context, image []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order("InsertMedia")
	if !m.identity.Drive {
		return machine.ErrInvalid
	}
	m.media = image
	return nil
}

// EjectMedia empties it.
func (m *Machine) EjectMedia(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order("EjectMedia")
	m.media = nil
	return nil
}

// Media is the image in the drive, nil when it is empty.
func (m *Machine) Media() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.media
}

// Identity is what New was given.
func (m *Machine) Identity() machine.Identity { return m.identity }

// Console gives the BMC's end of the serial line; Guest is the other.
func (m *Machine) Console(context.Context) (io.ReadWriteCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.on:
		return nil, machine.ErrPoweredOff
	case m.guest != nil:
		return nil, machine.ErrBusy
	}
	bmc, guest := net.Pipe()
	m.guest = guest
	return &line{Conn: bmc, machine: m}, nil
}

// line frees the console when it is closed.
type line struct {
	net.Conn
	machine *Machine
}

// Close ends the serial line.
func (l *line) Close() error {
	l.machine.mu.Lock()
	defer l.machine.mu.Unlock()
	l.machine.guest = nil
	return l.Conn.Close()
}

// Guest is the machine's end of the open serial line, nil without one.
func (m *Machine) Guest() io.ReadWriteCloser {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.guest == nil {
		return nil
	}
	return m.guest
}

// Orders lists what it was asked to change, refused requests included.
func (m *Machine) Orders() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.orders...)
}

// Starts counts its starts; booted is the override that the last one used.
func (m *Machine) Starts() (count int, booted machine.BootOverride) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.starts, m.booted
}
