package ipmi_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
)

// simLAN is ipmi_sim's configuration: the address, the program that is its host, and where that has its serial port. The host is one of mode
// chassis_control, since boot orders fail without.
const simLAN = `name "host"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %d
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%s 0x20"
  sol "tcp:%s" 115200
  startnow false
  user 2 true "%s" "%s" admin 10 none md2 md5 straight
`

const simBMC = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
`

// simHost is the host behind ipmi_sim: a program that it runs with "get" and "set". Its state is in files, orders are lines of one.
const simHost = `#!/bin/sh
cd %s
shift
op=$1
shift
case $op in
get) for k in "$@"; do echo "$k:$(cat $k)"; done ;;
set)
	[ "$1" = shutdown ] && [ -e noshutdown ] && exit 1
	echo "$1 $2" >> orders
	[ "$1" != boot ] && [ -e ignorepower ] && exit 0
	[ "$1" = shutdown ] && touch asked || echo "$2" > "$1"
	;;
esac
exit 0
`

// sim is OpenIPMI's ipmi_sim with a host: a BMC that others wrote.
type sim struct {
	t    *testing.T
	dir  string
	port int
	cmd  *exec.Cmd
	// serial is where ipmi_sim connects to for the serial port of its host.
	serial net.Listener
}

// simUser has a password without blanks and quotes, which its configuration cannot hold.
const (
	simUser     = "ipmiusr"
	simPassword = "sim-test"
)

func newSim(t *testing.T) *sim {
	t.Helper()
	s := &sim{t: t, dir: t.TempDir(), port: freePort(t)}
	s.write("power", "0\n")
	s.write("boot", "default\n")
	s.write("orders", "")
	s.write("host", fmt.Sprintf(simHost, s.dir))
	var err error
	if s.serial, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.serial.Close() })
	s.write("lan.conf", fmt.Sprintf(simLAN, s.port, filepath.Join(s.dir, "host"), s.serial.Addr(), simUser, simPassword))
	s.write("sim.emu", simBMC)
	if err := os.Mkdir(filepath.Join(s.dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// freePort is a UDP port that was free a moment ago; ipmi_sim cannot choose one itself.
func freePort(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}

func (s *sim) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o700); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sim) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// flag makes or removes a file that the host looks for.
func (s *sim) flag(name string, on bool) {
	s.t.Helper()
	if on {
		s.write(name, "")
	} else if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
}

// start runs ipmi_sim and waits until it answers a question that needs no session.
func (s *sim) start() {
	s.t.Helper()
	s.cmd = exec.Command("ipmi_sim", "-c", "lan.conf", "-f", "sim.emu", "-s", "state", "-n")
	s.cmd.Dir = s.dir
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("%v: install OpenIPMI's simulator, on Debian with: apt-get install openipmi ipmitool", err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for !s.answers(ctx) {
		if ctx.Err() != nil {
			s.t.Fatal("ipmi_sim does not answer")
		}
	}
}

// answers sends a ping of ASF (13.2.3) and waits a moment for the pong.
func (s *sim) answers(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
	for range 20 {
		if _, err := conn.Write([]byte{6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 1, 0, 0}); err != nil {
			continue // refused: it does not listen yet
		}
		if _, err := conn.Read(make([]byte, 64)); err == nil {
			return true
		}
	}
	return false
}

func (s *sim) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *sim) target() bmc.Target {
	return bmc.Target{Protocol: bmc.IPMI, Host: "127.0.0.1", Port: s.port, Username: simUser, Password: bmc.NewSecret(simPassword), Firmware: bmc.FirmwareBIOS}
}

// ipmitool is another client, as a witness.
func (s *sim) ipmitool(args ...string) string {
	s.t.Helper()
	out, err := ipmitool(s.t, "127.0.0.1", s.port, simUser, simPassword, append([]string{"-C", "3"}, args...)...)
	if err != nil {
		s.t.Fatalf("ipmitool %v: %v\n%s", args, err, out)
	}
	return out
}

func ipmitool(t *testing.T, host string, port int, user, password string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ipmitool", append([]string{"-I", "lanplus", "-H", host, "-p", strconv.Itoa(port), "-U", user, "-E"}, args...)...)
	cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *sim) On() bool { return s.read("power") == "1" }

func (s *sim) SetOn(on bool) {
	s.write("power", map[bool]string{true: "1", false: "0"}[on])
	s.flag("asked", false)
}

func (s *sim) Follow() {
	if _, err := os.Stat(filepath.Join(s.dir, "asked")); err == nil {
		s.SetOn(false)
	}
}

func (s *sim) BootNetwork() (set, once bool) { return s.read("boot") == "pxe", true }

func (s *sim) Orders() int {
	orders := strings.Fields(strings.ReplaceAll(s.read("orders"), " ", ":"))
	return len(orders)
}

var active = regexp.MustCompile(`active sessions +: (\d+)`)

// Sessions asks ipmi_sim through ipmitool, whose own session it does not count.
func (s *sim) Sessions() int {
	s.t.Helper()
	found := active.FindStringSubmatch(s.ipmitool("session", "info", "active"))
	if found == nil {
		s.t.Fatal("ipmi_sim does not count its sessions")
	}
	n, _ := strconv.Atoi(found[1])
	return n - 1
}

// DropSessions restarts it, as BMCs restart.
func (s *sim) DropSessions() {
	s.t.Helper()
	s.stop()
	s.start()
}

func (s *sim) Behave(b bmctest.Behaviour) {
	s.flag("ignorepower", b.IgnorePower)
	s.flag("noshutdown", b.NoShutdown)
	signal := syscall.SIGCONT
	if b.Dead {
		signal = syscall.SIGSTOP
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// TestIPMISim runs the contract against a BMC that others wrote. It has no suite 17, so that this is a test of falling back to 3 as well.
func TestIPMISim(t *testing.T) {
	t.Parallel()
	bmctest.RunPower(t, func(t *testing.T) (bmc.Driver, bmctest.Oracle) {
		s := newSim(t)
		d, err := ipmi.OpenOnce(t.Context(), s.target())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close(context.Background()) })
		return d, s
	})
}

// TestIPMISimBoot: the order arrives, and the driver does not believe it, since ipmi_sim never shows flags as valid: to a reader of the
// specification they look like flags that have expired. ipmitool, which does not read back, says "done".
func TestIPMISimBoot(t *testing.T) {
	s := newSim(t)
	d, err := ipmi.OpenOnce(t.Context(), s.target())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetBootNetwork(t.Context(), true); !errors.Is(err, bmc.ErrLied) {
		t.Errorf("error %v, want a lie", err)
	}
	if set, _ := s.BootNetwork(); !set {
		t.Error("the order did not arrive")
	}
	if out := s.ipmitool("chassis", "bootparam", "get", "5"); !strings.Contains(out, "Boot Flag Invalid") || !strings.Contains(out, "Force PXE") {
		t.Errorf("control: ipmitool reads\n%s", out)
	}
	if n := s.Sessions(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
