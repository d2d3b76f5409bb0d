package redfish_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/redfish"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
)

// presented counts the requests that brought credentials.
func (l *lab) presented() int {
	n := 0
	for _, r := range l.bmc.Requests() {
		if r.Presented {
			n++
		}
	}
	return n
}

func TestPinnedCertificate(t *testing.T) {
	l := newLab(t, nil)
	if seen := l.open(t).(bmc.Pinned).PinSeen(); seen != l.bmc.Fingerprint() {
		t.Fatalf("without a pin it reports %q, the BMC has %q", seen, l.bmc.Fingerprint())
	}
	l.target.Pin = l.bmc.Fingerprint()
	d := l.open(t)
	if _, err := d.Power(t.Context()); err != nil {
		t.Fatalf("the pinned certificate was refused: %v", err)
	}
	before := l.presented()
	if err := l.bmc.SwapCertificate(); err != nil {
		t.Fatal(err)
	}
	_, err := d.Power(t.Context())
	wantCertificateChanged(t, err, l.bmc.Fingerprint())
	wantCertificateChanged(t, d.SetPower(t.Context(), bmc.On), l.bmc.Fingerprint())
	_, err = redfish.Open(t.Context(), l.target)
	wantCertificateChanged(t, err, l.bmc.Fingerprint())
	if l.presented() != before {
		t.Errorf("credentials were sent to another certificate: %v", l.bmc.Requests())
	}
	if on, _ := l.machine.PowerState(t.Context()); on {
		t.Error("the order came through")
	}
}

func wantCertificateChanged(t *testing.T, err error, seen string) {
	t.Helper()
	var failure *bmc.Error
	if !errors.Is(err, bmc.ErrCertificateChanged) || !errors.As(err, &failure) || failure.PinSeen != seen {
		t.Errorf("error %v, want a changed certificate %s", err, seen)
	}
}

func TestWrongPasswordIsOneAttempt(t *testing.T) {
	for _, limit := range []int{4, -1} {
		l := newLab(t, func(c *fakebmc.Config) { c.SessionLimit = limit })
		l.target.Password = bmc.NewSecret("not the password")
		d, err := redfish.Open(t.Context(), l.target)
		if limit < 0 && err == nil { // Basic: nothing is sent before the first reading
			_, err = d.Power(t.Context())
			_ = d.Close(t.Context())
		}
		if !errors.Is(err, bmc.ErrUnauthorized) || strings.Contains(err.Error(), "not the password") {
			t.Errorf("limit %d: error %v", limit, err)
		}
		if n := l.presented(); n != 1 {
			t.Errorf("limit %d: credentials were presented %d times: %v", limit, n, l.bmc.Requests())
		}
	}
}

func TestBasicWhereThereAreNoSessions(t *testing.T) {
	l := newLab(t, func(c *fakebmc.Config) { c.SessionLimit = -1 })
	d := l.open(t)
	if err := d.SetPower(t.Context(), bmc.On); err != nil {
		t.Fatal(err)
	}
	if err := d.SetBootNetwork(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if state, err := d.Power(t.Context()); state != bmc.On || err != nil {
		t.Errorf("%s %v", state, err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSessionsDoNotLeak opens, fails, is cancelled and closes many times at a BMC that keeps four sessions (T14).
func TestSessionsDoNotLeak(t *testing.T) {
	trip := &tripwire{Handler: slog.DiscardHandler}
	l := newLab(t, func(c *fakebmc.Config) { c.Log = slog.New(trip) })
	for i := range 250 {
		ctx, cancel := context.WithCancel(t.Context())
		trip.arm(i%12, cancel)
		if d, err := redfish.Open(ctx, l.target); err == nil {
			_, _ = d.Power(ctx)
			_ = d.SetBootNetwork(ctx, i%2 == 0)
			_ = d.SetPower(ctx, "Sideways")
			_ = d.Close(ctx)
		}
		cancel()
		if n := l.bmc.Sessions(); n != 0 {
			t.Fatalf("round %d: %d sessions are left", i, n)
		}
	}
	requests := l.bmc.Requests()
	if len(requests) < 1000 {
		t.Errorf("only %d requests", len(requests))
	}
	for _, r := range requests {
		if r.Status == 503 {
			t.Fatalf("it ran out of sessions: %+v", r)
		}
	}
}

// tripwire cancels a context while the BMC handles the nth request from now; 0 never does.
type tripwire struct {
	slog.Handler

	mu     sync.Mutex
	left   int
	cancel func()
}

func (w *tripwire) arm(requests int, cancel func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.cancel = requests, cancel
}

// Enabled sees each line of the BMC's log, which is one per request.
func (w *tripwire) Enabled(context.Context, slog.Level) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left--; w.left == 0 {
		w.cancel()
	}
	return false
}

// TestDebuggingTheLibraryShowsNoSecret: bmclib prints its requests and answers when an environment variable says so.
func TestDebuggingTheLibraryShowsNoSecret(t *testing.T) {
	for _, limit := range []int{4, -1} {
		l := newLab(t, func(c *fakebmc.Config) { c.SessionLimit = limit })
		t.Setenv("DEBUG_BMCLIB", "true")
		out := captureStdout(t, func() {
			d := l.open(t)
			_, _ = d.Power(t.Context())
			_ = d.SetPower(t.Context(), bmc.On)
		})
		if !strings.Contains(out, "/redfish/v1/Systems/1") {
			t.Fatalf("the library printed nothing:\n%s", out)
		}
		for _, secret := range []string{"pass word", "X-Auth-Token", "Authorization", "Password"} {
			if strings.Contains(out, secret) {
				t.Errorf("%q was printed:\n%s", secret, out)
			}
		}
	}
}

func captureStdout(t *testing.T, run func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&out, r)
	}()
	before := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = before }()
	run()
	_ = w.Close()
	<-read
	return out.String()
}

// TestAllSessionsTaken: others hold every session, as controllers that were killed do. The BMC is read all the same; the control: with a wrong password
// it is not, and it says why.
func TestAllSessionsTaken(t *testing.T) {
	l := newLab(t, func(c *fakebmc.Config) { c.SessionLimit = 1 })
	first := l.open(t)
	second, err := redfish.Open(t.Context(), l.target)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := second.Power(t.Context()); state != bmc.Off || err != nil {
		t.Errorf("%s %v", state, err)
	}
	if err := second.SetPower(t.Context(), bmc.On); err != nil {
		t.Error(err)
	}
	if n := l.bmc.Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	for _, d := range []bmc.Driver{second, first} {
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	l.target.Password = bmc.NewSecret("not the password")
	if _, err := redfish.Open(t.Context(), l.target); !errors.Is(err, bmc.ErrUnauthorized) {
		t.Errorf("control: %v", err)
	}
}
