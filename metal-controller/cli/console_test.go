package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
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

// TestConsoleByItsKind: it is said which way was taken, and which other there may be; nothing is sent before that.
func TestConsoleByItsKind(t *testing.T) {
	s := &metal.Server{Spec: metal.ServerSpec{BMC: &metal.BMC{Protocol: metal.BMCRedfish}}}
	s.Name = "s"
	_, err := dialConsole(t.Context(), nil, s, consoleOptions{})
	if err == nil || !strings.Contains(err.Error(), "not pinned") || !strings.Contains(err.Error(), "console s --sol") {
		t.Errorf("error %v", err)
	}
	taking := consoleOptions{ConsoleOptions: ipmi.ConsoleOptions{TakeOver: true}}
	if _, err := dialConsole(t.Context(), nil, s, taking); err == nil || !strings.Contains(err.Error(), "are for serial-over-LAN") {
		t.Errorf("error %v", err)
	}
}

// serialLine notes what is typed, and breaks.
type serialLine struct{ bytes.Buffer }

func (l *serialLine) Break() { l.WriteString("<break>") }

// TestTypeKeys: Ctrl-^ is a break where there is such a thing, and a key where there is not.
func TestTypeKeys(t *testing.T) {
	var line serialLine
	var socket bytes.Buffer
	for _, to := range []io.Writer{&line, &socket} {
		if !copyUntilDetach(to, strings.NewReader("a\x1e\x1ebh\x1d")) {
			t.Error("not detached")
		}
	}
	if line.String() != "a<break><break>bh" || socket.String() != "a\x1e\x1ebh" {
		t.Errorf("%q %q", line.String(), socket.String())
	}
}
