package proof

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestPace: pauses grow up to a bound while nothing is proven, one that runs is asked calmly, and another boot or binding begins anew.
func TestPace(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := subject{binding: "b", boot: "1", address: netip.MustParseAddr("192.0.2.1")}
	m := memory{}.of(s)
	if m.due(now) != now {
		t.Error("what was never asked is not due")
	}
	var pauses []string
	for range 12 {
		m = m.after(now, true)
		pauses = append(pauses, m.due(now).Sub(now).String())
	}
	if got := fmt.Sprintf("%v %s", pauses[:4], pauses[11]); got != "[4s 8s 15s 15s] 15s" {
		t.Errorf("pauses %s", got)
	}
	if m.failing != now {
		t.Errorf("it fails since %s", m.failing)
	}
	if m = m.after(now, false); m.due(now).Sub(now) != 2*time.Second || !m.failing.IsZero() {
		t.Errorf("after an answer: %+v", m)
	}
	s.running = true
	if m = m.of(s); m.due(now).Sub(now) != time.Minute {
		t.Errorf("one that runs: %+v", m)
	}
	for _, other := range []subject{{binding: "c", boot: "1"}, {binding: "b", boot: "2"}} {
		if n := m.of(other); n.due(now) != now || n.about != other {
			t.Errorf("another subject: %+v", n)
		}
	}
	for failures := range 1000 { // no shift overflows
		if p := (memory{about: subject{}, asked: now, failures: failures}).due(now).Sub(now); p < first || p > last {
			t.Fatalf("%d failures: %s", failures, p)
		}
	}
}
