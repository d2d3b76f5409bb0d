package ipmi_test

import (
	"context"
	"net"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "admin"
	password = "pass word\"ü"
)

// lab is one fake BMC with its machine and the target that reaches it.
type lab struct {
	bmc     *rmcp.BMC
	machine *memory.Machine
	faults  *fakebmc.Faults
	target  bmc.Target
}

func newLab(t *testing.T, edit func(*rmcp.Config)) *lab {
	t.Helper()
	m := memory.New(machine.Identity{UUID: "4c4c4544-0000-1000-8000-000000000001", UEFI: true})
	l := &lab{machine: m, faults: &fakebmc.Faults{}}
	config := rmcp.Config{Machine: m, Username: user, Password: password, Faults: l.faults}
	if edit != nil {
		edit(&config)
	}
	var err error
	if l.bmc, err = rmcp.Start(context.Background(), config); err != nil {
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
	return bmc.Target{Protocol: bmc.IPMI, Host: host, Port: port, Username: user, Password: bmc.NewSecret(password)}
}

// open opens a driver that is closed at the end of the test.
func (l *lab) open(t *testing.T) bmc.Driver {
	t.Helper()
	d, err := ipmi.OpenFast(t.Context(), l.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d
}
