package redfish_test

import (
	"context"
	"net"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/redfish"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is one fake BMC with its machine and the target that reaches it.
type lab struct {
	bmc     *fakebmc.BMC
	machine *memory.Machine
	faults  *fakebmc.Faults
	target  bmc.Target
}

func newLab(t *testing.T, edit func(*fakebmc.Config)) *lab {
	t.Helper()
	m := memory.New(machine.Identity{UUID: "a1", Serial: "S1", UEFI: true, CPUs: 2, MemoryMiB: 2048, Drive: true})
	l := &lab{machine: m, faults: &fakebmc.Faults{}}
	config := fakebmc.Config{Machine: m, Username: "admin", Password: "pass word\"ü", Faults: l.faults}
	if edit != nil {
		edit(&config)
	}
	var err error
	if l.bmc, err = fakebmc.Start(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.bmc.Close() })
	l.target = targetOf(t, l.bmc.Addr())
	return l
}

func targetOf(t testing.TB, addr string) bmc.Target {
	t.Helper()
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return bmc.Target{Protocol: bmc.Redfish, Host: host, Port: port, Username: "admin", Password: bmc.NewSecret("pass word\"ü")}
}

// open opens a driver that is closed at the end of the test.
func (l *lab) open(t *testing.T) bmc.Driver {
	t.Helper()
	d, err := redfish.Open(t.Context(), l.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d
}

func TestPowerOnAndOff(t *testing.T) {
	l := newLab(t, nil)
	d := l.open(t)
	for _, want := range []bmc.PowerState{bmc.On, bmc.On, bmc.Off, bmc.Off} {
		if err := d.SetPower(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		on, _ := l.machine.PowerState(t.Context())
		got, err := d.Power(t.Context())
		if err != nil || got != want || on != (want == bmc.On) {
			t.Fatalf("want %s: driver reads %s %v, machine on=%v", want, got, err, on)
		}
	}
	if orders := l.machine.Orders(); len(orders) != 2 {
		t.Errorf("an ensure that changes nothing sent an order: %v", orders)
	}
	if err := d.SetBootNetwork(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}
