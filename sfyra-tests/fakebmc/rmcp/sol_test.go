package rmcp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
)

// terminal is a pseudo terminal: ipmitool shows a console to nothing less.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// screen is what a person sees.
type screen struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(p)
}

func (s *screen) shows(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.seen.String(), words)
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come to pass: %s", what)
		}
	}
}

// attach runs ipmitool at a terminal; the result is the terminal, its screen, and what waits for ipmitool's end.
func (l *lab) attach() (keys io.Writer, s *screen, wait func()) {
	l.t.Helper()
	host, port, err := net.SplitHostPort(l.bmc.Addr())
	if err != nil {
		l.t.Fatal(err)
	}
	master, slave := terminal(l.t)
	cmd := exec.CommandContext(l.t.Context(), "ipmitool", "-I", "lanplus", "-H", host, "-p", port, "-U", user, "-E", "sol", "activate")
	cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+password)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	_ = slave.Close()
	s = &screen{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(s, master) // ends with ipmitool
	}()
	return master, s, func() { _ = cmd.Wait(); <-done }
}

// TestIPMIToolConsole: what others wrote gets a console of it: output, keys and a break, and gives it back; nobody but an administrator ends another's.
func TestIPMIToolConsole(t *testing.T) {
	t.Parallel()
	l := start(t, nil)
	l.says("", "power", "on")
	keys, s, wait := l.attach()
	eventually(t, "ipmitool is attached", func() bool { return s.shows("SOL Session operational") })
	eventually(t, "the serial line is open", func() bool { return l.machine.Guest() != nil })
	guest := l.machine.Guest()
	if _, err := guest.Write([]byte("Debian GNU/Linux 12\r\nlogin: ")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the output is shown", func() bool { return s.shows("login: ") })
	typed := func(keystrokes, want string) {
		t.Helper()
		if _, err := io.WriteString(keys, keystrokes); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(guest, got); err != nil || string(got) != want {
			t.Errorf("the server got %q, %v; want %q", got, err, want)
		}
	}
	typed("root\r", "root\r")
	typed("~B", string([]byte{rmcp.Break}))
	l.fails("", "-L", "OPERATOR", "sol", "deactivate") // not one's own
	if !l.bmc.SOLActive() {
		t.Error("the payload is not active")
	}
	if _, err := io.WriteString(keys, "\r~."); err != nil {
		t.Fatal(err)
	}
	wait()
	if l.bmc.SOLActive() || l.bmc.Sessions() != 0 {
		t.Errorf("the payload is active: %v; %d sessions are left", l.bmc.SOLActive(), l.bmc.Sessions())
	}
}

// TestIPMIToolSOLInfo: the parameters are those of table 26-5, and only administrators set them.
func TestIPMIToolSOLInfo(t *testing.T) {
	t.Parallel()
	l := start(t, func(c *rmcp.Config) { c.SOL.Off = true })
	l.says("Enabled                         : false", "sol", "info", "1")
	l.fails("", "-L", "OPERATOR", "sol", "set", "enabled", "true", "1")
	l.says("", "sol", "set", "enabled", "true", "1")
	for _, words := range []string{
		"Enabled                         : true", "Force Encryption                : true", "Privilege Level                 : OPERATOR",
		"Retry Count                     : 7", "Retry Interval (ms)             : 50", "Volatile Bit Rate (kbps)        : 19.2",
	} {
		l.says(words, "sol", "info", "1")
	}
}
