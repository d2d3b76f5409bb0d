package ipmi_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/metal-controller/bmc/ipmi/sol"
)

// guest is the host's end of its serial line.
func (s *sim) guest() net.Conn {
	s.t.Helper()
	guest, err := s.serial.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = guest.Close() })
	return guest
}

func (s *sim) console(options ipmi.ConsoleOptions) (*ipmi.Console, error) {
	c, err := ipmi.OpenConsoleAlive(s.t.Context(), s.target(), options, 50*time.Millisecond) // ipmi_sim tells nobody that they lost it
	if err == nil {
		s.t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// TestIPMISimConsole: the console of a BMC that others wrote: both ways, who has it, taking it over, and giving all back.
func TestIPMISimConsole(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	guest := s.guest()
	first, err := s.console(ipmi.ConsoleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	carry(t, "output", first, guest, text(3000))
	carry(t, "keys", guest, first, text(500))
	if n := s.Sessions(); n != 1 {
		t.Errorf("%d sessions, want the console's", n)
	}
	if _, err := s.console(ipmi.ConsoleOptions{}); !errors.Is(err, ipmi.ErrConsoleTaken) {
		t.Errorf("a second one: error %v", err)
	}
	second, err := s.console(ipmi.ConsoleOptions{TakeOver: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, sol.ErrDeactivated) {
		t.Errorf("the end of the first one: %v", err)
	}
	_ = first.Close()
	carry(t, "output", second, guest, text(300))
	carry(t, "keys", guest, second, text(300))
	_ = second.Close()
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	third, err := s.console(ipmi.ConsoleOptions{})
	if err != nil {
		t.Fatalf("after all was given back: %v", err)
	}
	s.ipmitool("sol", "deactivate") // by another client
	if _, err := io.ReadAll(third); !errors.Is(err, sol.ErrDeactivated) || !strings.Contains(err.Error(), "took the console over") {
		t.Errorf("the end of the third one: %v", err)
	}
}
