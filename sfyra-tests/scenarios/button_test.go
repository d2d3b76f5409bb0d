//go:build e2e

package scenarios

import (
	"strings"
	"testing"
	"time"
)

// TestPowerButton: the agent obeys the power button, which is what a BMC's graceful shutdown presses; the machine's power is then off, as its
// process has ended, and its BMC can switch it on again.
func TestPowerButton(t *testing.T) {
	s := newSite(t, plain("b1", 0x51))
	s.declare("b1")
	m := s.machine("b1")
	s.ingot("power", "on", "b1")
	s.awaitServer("b1", "it registers", bootLimit, discovered)
	first := s.inventory("b1").Spec.ReportedAt
	if on, err := m.PowerState(t.Context()); err != nil || !on { // control
		t.Fatalf("the power is %v, %v", on, err)
	}
	if err := m.GracefulShutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await(20*time.Second, "the machine switches itself off", func() bool {
		on, err := m.PowerState(t.Context())
		return err == nil && !on
	})
	if text := s.serial("b1"); !strings.Contains(text, "the power button was pressed") || !strings.Contains(text, "switching the machine off") {
		t.Error("the console does not say why the machine is off")
	}
	if pid := m.PID(); pid != 0 {
		t.Errorf("process %d is left", pid)
	}
	s.ingot("power", "on", "b1")
	s.await(bootLimit, "it registers again", func() bool { return s.inventory("b1").Spec.ReportedAt.After(first.Time) })
}
