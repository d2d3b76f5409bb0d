package redfish

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func TestWireServesOneHostWithinACall(t *testing.T) {
	asked := 0
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials of a library came through")
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer service.Close()
	host := strings.TrimPrefix(service.URL, "https://")
	get := func(w *wire, url string) error {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Basic of-a-library")
		answer, err := w.client().Do(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	w, stranger := newWire(host, &pin{}), newWire("127.0.0.1:1", &pin{})
	defer w.base.CloseIdleConnections()
	if err := get(w, service.URL); !errors.Is(err, errNoCall) {
		t.Errorf("outside of a call: %v", err)
	}
	w.begin(t.Context(), "testing")
	stranger.begin(t.Context(), "testing")
	for _, url := range []string{service.URL, "http://127.0.0.1:1/", "https://user@127.0.0.1:1/"} {
		if err := get(stranger, url); !errors.Is(err, bmc.ErrUnsupported) {
			t.Errorf("%s for a wire to another host: %v", url, err)
		}
	}
	if asked != 0 {
		t.Fatal("the host of another wire was asked")
	}
	if err := get(w, service.URL); err != nil || asked != 1 {
		t.Errorf("the control: %v, asked %d times", err, asked)
	}
}

// TestOpeningDeadlineIsForgotten: bmclib makes the deadline of opening the limit of all later requests.
func TestOpeningDeadlineIsForgotten(t *testing.T) {
	m := memory.New(machine.Identity{})
	b, err := fakebmc.Start(t.Context(), fakebmc.Config{Machine: m, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	addr, err := netip.ParseAddrPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	d := newDriver(bmc.Target{Host: addr.Addr().String(), Port: int(addr.Port()), Username: "u", Password: bmc.NewSecret("p")})
	if err := d.open(ctx); err != nil {
		t.Fatal(err)
	}
	defer d.Close(t.Context())
	if d.http.Timeout != 0 {
		t.Errorf("requests are limited to %s for good", d.http.Timeout)
	}
}

func TestHostIsJoinedWithItsPort(t *testing.T) {
	for want, target := range map[string]bmc.Target{
		"192.0.2.7:443":      {Host: "192.0.2.7"},
		"bmc.example:8443":   {Host: "bmc.example", Port: 8443},
		"[2001:db8::7]:443":  {Host: "2001:db8::7"},
		"[2001:db8::7]:8443": {Host: "2001:db8::7", Port: 8443},
	} {
		if got := newDriver(target).wire.host; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
