// Package witness looks behind a fake BMC, whatever it speaks, for the contract that every driver of BMCs is held to.
package witness

import (
	"testing"

	"ingot.dev/ingot/metal-controller/bmc/bmctest"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// BMC is what a fake tells of its own table of sessions.
type BMC interface {
	Sessions() int
	DropSessions()
}

// oracle looks at the machine behind the BMC, and at the BMC's sessions.
type oracle struct {
	BMC
	t       *testing.T
	machine *memory.Machine
	faults  *fakebmc.Faults
	button  int
}

// New is the oracle of a fake BMC with its machine and its faults.
func New(t *testing.T, bmc BMC, m *memory.Machine, faults *fakebmc.Faults) bmctest.Oracle {
	return &oracle{BMC: bmc, t: t, machine: m, faults: faults}
}

func (o *oracle) On() bool {
	on, err := o.machine.PowerState(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return on
}

func (o *oracle) SetOn(on bool) {
	press := o.machine.ForceOff
	if on {
		press = o.machine.PowerOn
	}
	if err := press(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	o.button++
}

func (o *oracle) Follow() { o.machine.GuestEnds() }

func (o *oracle) BootNetwork() (set, once bool) {
	override, err := o.machine.BootOverride(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return override.Target == machine.TargetPxe, override.Once
}

func (o *oracle) Orders() int { return len(o.machine.Orders()) - o.button }

func (o *oracle) Behave(b bmctest.Behaviour) {
	o.faults.Set(fakebmc.Fault{Dead: b.Dead, IgnorePower: b.IgnorePower, IgnoreBoot: b.IgnoreBoot, NoShutdown: b.NoShutdown})
}
