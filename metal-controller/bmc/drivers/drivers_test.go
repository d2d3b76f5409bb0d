package drivers_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/drivers"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func targetOf(t testing.TB, addr string, protocol bmc.Protocol) bmc.Target {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return bmc.Target{Protocol: protocol, Host: a.Addr().String(), Port: int(a.Port()), Username: "u", Password: bmc.NewSecret("p")}
}

func TestOpenFindsRedfish(t *testing.T) {
	b, err := fakebmc.Start(t.Context(), fakebmc.Config{Machine: memory.New(machine.Identity{}), Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, protocol := range []bmc.Protocol{bmc.Redfish, bmc.Auto, ""} {
		d, err := drivers.Open(t.Context(), targetOf(t, b.Addr(), protocol))
		if err != nil {
			t.Fatalf("%q: %v", protocol, err)
		}
		if state, err := d.Power(t.Context()); state != bmc.Off || err != nil {
			t.Errorf("%q: %s %v", protocol, state, err)
		}
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	for _, r := range b.Requests() {
		if r.Presented {
			break
		}
		if r.Method != http.MethodGet || r.Path != "/redfish/v1/" {
			t.Errorf("the probe is more than one GET of the root: %+v", r)
		}
	}
}

// TestOpenWithoutRedfish: the message says that IPMI is not in this release, where that may be the cause.
func TestOpenWithoutRedfish(t *testing.T) {
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	website := web.Listener.Addr().String()
	cases := map[string]struct {
		addr     string
		protocol bmc.Protocol
		class    error
		ipmi     bool
	}{
		"auto, a web site":    {website, bmc.Auto, bmc.ErrUnsupported, true},
		"redfish, a web site": {website, bmc.Redfish, bmc.ErrUnsupported, false},
		"auto, nobody":        {nobody, bmc.Auto, bmc.ErrUnreachable, true},
		"ipmi":                {website, bmc.IPMI, bmc.ErrUnsupported, true},
		"unknown":             {website, "Telnet", bmc.ErrUnsupported, false},
	}
	for name, c := range cases {
		d, err := drivers.Open(t.Context(), targetOf(t, c.addr, c.protocol))
		if d != nil || !errors.Is(err, c.class) || strings.Contains(err.Error(), "IPMI is not in this release") != c.ipmi {
			t.Errorf("%s: %v", name, err)
		}
	}
}
