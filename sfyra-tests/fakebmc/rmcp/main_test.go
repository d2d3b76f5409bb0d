package rmcp_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ingot.dev/ingot/sfyra-tests/clock"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "admin"
	password = "correct horse"
)

// lab is a BMC with its machine, used through ipmitool: a client that others wrote.
type lab struct {
	t       *testing.T
	bmc     *rmcp.BMC
	machine *memory.Machine
	faults  *fakebmc.Faults
	clock   *clock.Clock
}

func start(t *testing.T, edit func(*rmcp.Config)) *lab {
	t.Helper()
	m := memory.New(machine.Identity{UUID: "4c4c4544-0000-1000-8000-000000000001", UEFI: true})
	l := &lab{t: t, machine: m, faults: &fakebmc.Faults{}, clock: clock.At(time.Unix(1e9, 0))}
	config := rmcp.Config{Machine: m, Username: user, Password: password, Faults: l.faults, Now: l.clock.Now}
	if edit != nil {
		edit(&config)
	}
	var err error
	if l.bmc, err = rmcp.Start(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.bmc.Close() })
	return l
}

// tool runs ipmitool as a user with a password would.
func (l *lab) tool(user, password string, args ...string) (string, error) {
	l.t.Helper()
	host, port, err := net.SplitHostPort(l.bmc.Addr())
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.CommandContext(l.t.Context(), "ipmitool", append([]string{"-I", "lanplus", "-H", host, "-p", port, "-U", user, "-E"}, args...)...)
	cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		l.t.Fatalf("%v: install it, on Debian with: apt-get install ipmitool", err)
	}
	return string(out), err
}

// says wants ipmitool to succeed and its output to hold the words.
func (l *lab) says(words string, args ...string) {
	l.t.Helper()
	if out, err := l.tool(user, password, args...); err != nil || !strings.Contains(out, words) {
		l.t.Errorf("ipmitool %v: %v, want %q in\n%s", args, err, words, out)
	}
}

// fails wants ipmitool to fail with the words.
func (l *lab) fails(words string, args ...string) {
	l.t.Helper()
	if out, err := l.tool(user, password, args...); err == nil || !strings.Contains(out, words) {
		l.t.Errorf("ipmitool %v: %v, want a failure with %q, got\n%s", args, err, words, out)
	}
}
