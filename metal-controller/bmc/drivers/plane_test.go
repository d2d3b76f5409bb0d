package drivers_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/drivers"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// TestPlaneOverRedfish is the whole way: plane, driver, HTTPS, BMC, machine. The plane's own rules are proven in
// virtual time beside it; here its parts meet.
func TestPlaneOverRedfish(t *testing.T) {
	m := memory.New(machine.Identity{UEFI: true})
	b, err := fakebmc.Start(context.Background(), fakebmc.Config{Machine: m, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	woken := make(chan string, 100)
	plane := bmc.NewPlane(bmc.Options{Open: drivers.Open, Wake: func(server string) { woken <- server }})
	defer plane.Close()
	until := awaits(t, plane, woken)
	target := targetOf(t, b.Addr(), bmc.Auto)
	wrong := target
	wrong.Password = bmc.NewSecret("wrong")
	plane.Ensure("s", wrong)
	r := until("the refusal", func(r bmc.Reading) bool { return r.Err != nil })
	if !errors.Is(r.Err, bmc.ErrUnauthorized) || r.PinSeen != b.Fingerprint() {
		t.Errorf("%+v", r)
	}
	target.Pin = r.PinSeen
	plane.Ensure("s", target)
	until("a reading", func(r bmc.Reading) bool { return r.Power == bmc.Off && r.Err == nil })
	obeys(t, plane, until, bmc.BootNetworkOnce, bmc.PowerOn, bmc.PowerOff)
	if starts, booted := m.Starts(); starts != 1 || booted.Target != machine.TargetPxe || b.Sessions() != 1 {
		t.Errorf("%d starts from %q, %d sessions", starts, booted.Target, b.Sessions())
	}
	plane.Close()
	if b.Sessions() != 0 {
		t.Errorf("%d sessions are left", b.Sessions())
	}
}

// awaits gives a function that waits until what is known of the server is as wanted.
func awaits(t *testing.T, plane *bmc.Plane, woken <-chan string) func(what string, done func(bmc.Reading) bool) bmc.Reading {
	return func(what string, done func(bmc.Reading) bool) bmc.Reading {
		t.Helper()
		for r := plane.Latest("s"); ; r = plane.Latest("s") {
			if done(r) {
				return r
			}
			select {
			case <-woken:
			case <-t.Context().Done():
				t.Fatalf("waiting for %s: %+v", what, r)
			}
		}
	}
}

// obeys submits one order after the other, and wants each done.
func obeys(t *testing.T, plane *bmc.Plane, until func(string, func(bmc.Reading) bool) bmc.Reading, verbs ...bmc.Verb) {
	t.Helper()
	for i, verb := range verbs {
		action := bmc.Action{ID: strconv.Itoa(i + 1), Verb: verb}
		plane.Submit("s", action)
		if r := until(action.ID, func(r bmc.Reading) bool { return r.ActionID == action.ID }); r.ActionErr != nil {
			t.Errorf("%+v", r)
		}
	}
}

// TestPlaneOverIPMI is the same way over IPMI, without a certificate to pin.
func TestPlaneOverIPMI(t *testing.T) {
	m := memory.New(machine.Identity{})
	b, err := rmcp.Start(context.Background(), rmcp.Config{Machine: m, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	woken := make(chan string, 100)
	plane := bmc.NewPlane(bmc.Options{Open: drivers.Open, Wake: func(server string) { woken <- server }})
	defer plane.Close()
	until := awaits(t, plane, woken)
	target := targetOf(t, b.Addr(), bmc.IPMI)
	target.Firmware = bmc.FirmwareBIOS
	wrong := target
	wrong.Password = bmc.NewSecret("wrong")
	plane.Ensure("s", wrong)
	if r := until("the refusal", func(r bmc.Reading) bool { return r.Err != nil }); !errors.Is(r.Err, bmc.ErrUnauthorized) || r.PinSeen != "" {
		t.Errorf("%+v", r)
	}
	plane.Ensure("s", target)
	until("a reading", func(r bmc.Reading) bool { return r.Power == bmc.Off && r.Err == nil })
	obeys(t, plane, until, bmc.PowerOnFromNetwork, bmc.ShutDown, bmc.PowerOff)
	if starts, booted := m.Starts(); starts != 1 || booted.Target != machine.TargetPxe || b.Sessions() != 1 {
		t.Errorf("%d starts from %q, %d sessions", starts, booted.Target, b.Sessions())
	}
	plane.Close()
	if tally := b.Tally(); b.Sessions() != 0 || tally.Most != 1 {
		t.Errorf("%d sessions are left, %d were there at once", b.Sessions(), tally.Most)
	}
}
