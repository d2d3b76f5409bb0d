package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// TestPinnedRefusesAnotherCertificate: the pin is checked before anything is sent.
func TestPinnedRefusesAnotherCertificate(t *testing.T) {
	requests := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests++ }))
	defer s.Close()
	sum := sha256.Sum256(s.Certificate().Raw)
	get := func(pin string) error {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: pinned(pin), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
		r, err := c.Get(s.URL)
		if err == nil {
			r.Body.Close()
		}
		return err
	}
	if err := get(strings.Repeat("00", 32)); err == nil || !strings.Contains(err.Error(), "not the pinned one") {
		t.Errorf("a wrong pin: %v", err)
	}
	if requests != 0 {
		t.Errorf("%d requests were sent to a stranger", requests)
	}
	if err := get(hex.EncodeToString(sum[:])); err != nil { // control
		t.Errorf("the right pin: %v", err)
	}
}

func TestCopyUntilDetach(t *testing.T) {
	for _, tc := range []struct {
		in, out  string
		detached bool
	}{
		{"ls\r\x1dmore", "ls\r", true},
		{"ls\r", "ls\r", false},
		{"\x1d", "", true},
	} {
		var out bytes.Buffer
		if got := copyUntilDetach(&out, strings.NewReader(tc.in)); got != tc.detached || out.String() != tc.out {
			t.Errorf("%q: copied %q, detached %v", tc.in, out.String(), got)
		}
	}
}

// TestConsoleOfAnIPMIBMC: it is said what is missing, instead of asking for a certificate that such a BMC does not have.
func TestConsoleOfAnIPMIBMC(t *testing.T) {
	s := &metal.Server{Spec: metal.ServerSpec{BMC: &metal.BMC{Protocol: metal.BMCIPMI}}}
	if _, err := dialConsole(t.Context(), nil, s); err == nil || !strings.Contains(err.Error(), "serial-over-LAN is not in this release") {
		t.Errorf("error %v", err)
	}
	s.Spec.BMC.Protocol = metal.BMCRedfish
	if _, err := dialConsole(t.Context(), nil, s); err == nil || !strings.Contains(err.Error(), "not pinned") {
		t.Errorf("control: error %v", err)
	}
}
