package redfish_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const ours, theirs = "http://192.0.2.1:8080/boot/v1/ipxe/snponly.efi", "http://192.0.2.66/other.efi"

// TestHTTPBoot: a URI makes it HTTP boot from there, and without one what somebody left is not booted. What is so already is not ordered again.
func TestHTTPBoot(t *testing.T) {
	t.Parallel()
	byHTTP := func(uri string) machine.BootOverride {
		return machine.BootOverride{Target: machine.TargetUefiHTTP, Once: true, URI: uri}
	}
	none, byPXE, honest := machine.BootOverride{}, machine.BootOverride{Target: machine.TargetPxe, Once: true}, fakebmc.Fault{}
	for name, c := range map[string]struct {
		uri    string
		before machine.BootOverride
		fault  fakebmc.Fault
		want   machine.BootOverride
		orders int
	}{
		"a URI":                       {ours, none, honest, byHTTP(ours), 1},
		"instead of another one":      {ours, byHTTP(theirs), honest, byHTTP(ours), 1},
		"it is so already":            {ours, byHTTP(ours), honest, byHTTP(ours), 0},
		"none, where Pxe is offered":  {"", none, honest, byPXE, 1},
		"none, where HTTP is all":     {"", none, fakebmc.Fault{NoPxe: true}, byHTTP(""), 1},
		"none, and somebody left one": {"", byHTTP(theirs), fakebmc.Fault{NoPxe: true}, byHTTP(""), 1},
	} {
		l := newLab(t, nil)
		l.target.BootURI = c.uri
		if err := l.machine.SetBootOverride(t.Context(), c.before); err != nil {
			t.Fatal(err)
		}
		l.faults.Set(c.fault)
		d := l.open(t)
		for range 2 {
			if err := d.SetBootNetwork(t.Context(), true); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got, _ := l.machine.BootOverride(t.Context()); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
		if orders := l.machine.Orders(); len(orders) != c.orders+1 {
			t.Errorf("%s: ordered %v", name, orders)
		}
	}
}

// TestHTTPBootRefused: a URI that does not show is a lie, and a machine without HTTP boot is told so.
func TestHTTPBootRefused(t *testing.T) {
	l := newLab(t, nil)
	l.target.BootURI = ours
	d := l.open(t)
	l.faults.Set(fakebmc.Fault{IgnoreURI: true})
	if err := d.SetBootNetwork(t.Context(), true); !errors.Is(err, bmc.ErrLied) || !strings.Contains(err.Error(), ours) {
		t.Errorf("error %v", err)
	}
	l.faults.Set(fakebmc.Fault{})
	if err := d.SetBootNetwork(t.Context(), true); err != nil {
		t.Errorf("control: %v", err)
	}
	old := newLab(t, func(c *fakebmc.Config) { c.Machine = bios{c.Machine} })
	old.target.BootURI = ours
	if err := old.open(t).SetBootNetwork(t.Context(), true); !errors.Is(err, bmc.ErrUnsupported) || !strings.Contains(err.Error(), "over HTTP") {
		t.Errorf("error %v", err)
	}
	if slices.Contains(old.machine.Orders(), "SetBootOverride Pxe") {
		t.Error("it boots another way instead")
	}
}

// bios is the same machine with older firmware.
type bios struct{ machine.Machine }

func (b bios) Identity() machine.Identity {
	id := b.Machine.Identity()
	id.UEFI = false
	return id
}
