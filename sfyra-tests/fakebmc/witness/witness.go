// Package witness looks behind a fake BMC, whatever it speaks, for the contract that every driver of BMCs is held to.
package witness

import (
	"context"
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
	// quirk is how the BMC is made, whatever else it is made to do.
	quirk fakebmc.Fault
}

// New is the oracle of a fake BMC with its machine and its faults.
func New(t *testing.T, bmc BMC, m *memory.Machine, faults *fakebmc.Faults) bmctest.Oracle {
	return &oracle{BMC: bmc, t: t, machine: m, faults: faults}
}

// WithMedia is the same, and sees what the BMC was told to boot.
func WithMedia(t *testing.T, bmc BMC, m *memory.Machine, faults *fakebmc.Faults) bmctest.URIOracle {
	return &oracle{BMC: bmc, t: t, machine: m, faults: faults, quirk: faults.Get()}
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
	boot := o.Boot()
	return boot.From == bmctest.FromNetwork, boot.Once
}

func (o *oracle) Boot() bmctest.Boot {
	override, err := o.machine.BootOverride(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	from := map[string]bmctest.From{
		machine.TargetPxe: bmctest.FromNetwork, machine.TargetUefiHTTP: bmctest.FromURI, machine.TargetCd: bmctest.FromMedia,
	}[override.Target]
	return bmctest.Boot{From: from, URI: override.URI, Once: override.Once}
}

// drive is a fake that has virtual media.
type drive interface {
	Media() string
	Insert(ctx context.Context, uri string) error
}

// Media believes the BMC only where the machine's drive agrees.
func (o *oracle) Media() string {
	d, ok := o.BMC.(drive)
	if !ok {
		return ""
	}
	if uri := d.Media(); (uri != "") == (o.machine.Media() != nil) {
		return uri
	}
	o.t.Error("the BMC says something else of its drive than the machine")
	return ""
}

func (o *oracle) Insert(uri string) {
	if err := o.BMC.(drive).Insert(o.t.Context(), uri); err != nil {
		o.t.Fatal(err)
	}
	o.button++
}

func (o *oracle) Orders() int { return len(o.machine.Orders()) - o.button }

func (o *oracle) Behave(b bmctest.Behaviour) {
	f := o.quirk
	f.Dead, f.IgnorePower, f.IgnoreBoot, f.NoShutdown, f.NoMedia, f.IgnoreMedia = b.Dead, b.IgnorePower, b.IgnoreBoot, b.NoShutdown, b.NoMedia, b.IgnoreMedia
	o.faults.Set(f)
}
