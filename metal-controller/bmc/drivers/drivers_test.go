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
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
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

// TestOpenWithoutRedfish: where Redfish is silent IPMI is asked, over the same port; the message tells both.
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
	const over = "over IPMI"
	cases := map[string]struct {
		addr     string
		protocol bmc.Protocol
		class    error
		both     bool
	}{
		"auto, a web site":    {website, bmc.Auto, bmc.ErrUnsupported, true},
		"redfish, a web site": {website, bmc.Redfish, bmc.ErrUnsupported, false},
		"auto, nobody":        {nobody, bmc.Auto, bmc.ErrUnreachable, true},
		"ipmi":                {website, bmc.IPMI, bmc.ErrUnreachable, false},
		"unknown":             {website, "Telnet", bmc.ErrUnsupported, false},
	}
	for name, c := range cases {
		d, err := drivers.Open(t.Context(), targetOf(t, c.addr, c.protocol))
		if d != nil || !errors.Is(err, c.class) || strings.Contains(err.Error(), over) != c.both {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ipmiOnly is a BMC without Redfish.
func ipmiOnly(t *testing.T) (*rmcp.BMC, bmc.Target) {
	t.Helper()
	b, err := rmcp.Start(context.Background(), rmcp.Config{Machine: memory.New(machine.Identity{UEFI: true}), Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, targetOf(t, b.Addr(), bmc.Auto)
}

// TestAutoFindsIPMI: a BMC that has no Redfish is driven over IPMI, unless a certificate is pinned: then it had Redfish, and whoever keeps that
// away does not get the password's proof over a weaker way.
func TestAutoFindsIPMI(t *testing.T) {
	b, target := ipmiOnly(t)
	for _, protocol := range []bmc.Protocol{bmc.IPMI, bmc.Auto, ""} {
		target.Protocol = protocol
		d, err := drivers.Open(t.Context(), target)
		if err != nil {
			t.Fatalf("%q: %v", protocol, err)
		}
		if state, err := d.Power(t.Context()); state != bmc.Off || err != nil {
			t.Errorf("%q: %s %v", protocol, state, err)
		}
		if err := d.Close(context.Background()); err != nil || b.Sessions() != 0 {
			t.Errorf("%q: %v, %d sessions are left", protocol, err, b.Sessions())
		}
	}
	opened := b.Tally().Opened
	target.Pin = strings.Repeat("0", 64)
	if d, err := drivers.Open(t.Context(), target); d != nil || !errors.Is(err, bmc.ErrUnreachable) || b.Tally().Opened != opened {
		t.Errorf("with a pin: %v, %d sessions were opened", err, b.Tally().Opened-opened)
	}
	target.Pin, target.Password = "", bmc.NewSecret("wrong")
	if _, err := drivers.Open(t.Context(), target); !errors.Is(err, bmc.ErrUnauthorized) || !strings.Contains(err.Error(), "it has no Redfish") {
		t.Errorf("a wrong password: %v", err)
	}
}
