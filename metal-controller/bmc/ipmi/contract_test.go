package ipmi_test

import (
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// oracle looks at the machine behind the fake BMC, and at the BMC's own table of sessions.
type oracle struct {
	*lab
	t      *testing.T
	button int
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

func (o *oracle) Sessions() int { return o.bmc.Sessions() }

func (o *oracle) DropSessions() { o.bmc.DropSessions() }

func (o *oracle) Behave(b bmctest.Behaviour) {
	o.faults.Set(fakebmc.Fault{Dead: b.Dead, IgnorePower: b.IgnorePower, IgnoreBoot: b.IgnoreBoot, NoShutdown: b.NoShutdown})
}

// TestContract runs the contract with each cipher suite, through the fake BMC and its machine.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, suites := range map[string][]uint8{"suite 17": {17}, "suite 3": {3}} {
		t.Run(name, func(t *testing.T) {
			bmctest.RunDriver(t, func(t *testing.T) (bmc.Driver, bmctest.Oracle) {
				l := newLab(t, func(c *rmcp.Config) { c.Suites = suites })
				return l.open(t), &oracle{lab: l, t: t}
			})
		})
	}
}
