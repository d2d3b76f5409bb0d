package bmc_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/agent/bmc"
)

// The files of OpenIPMI's ipmi_sim: a LAN, and the line over which QEMU gives a guest its system interface (codec VM). lan_config_program says where the BMC is.
const (
	simLAN = `name "host"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %d
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
    lan_config_program "%s"
  endlan
  serial 15 127.0.0.1 %d codec VM ipmb 0x20
  startnow false
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "ipmiusr" "simtest" admin 10 none md2 md5 straight
`
	simMC = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
`
	simWhere = `#!/bin/sh
[ "$1" = get ] || exit 0
shift
for k in "$@"; do
	case $k in
	ip_addr) echo ip_addr:192.0.2.7 ;;
	ip_addr_src) echo ip_addr_src:static ;;
	mac_addr) echo mac_addr:02:00:00:00:00:07 ;;
	subnet_mask) echo subnet_mask:255.255.255.0 ;;
	*) echo $k: ;;
	esac
done
`
)

// line is the system interface that ipmi_sim gives: what QEMU's ipmi-bmc-extern speaks (hw/ipmi/ipmi_bmc_extern.c).
type line struct {
	conn net.Conn
	in   *bufio.Reader
	last byte
}

const (
	endMessage, endCommand, escape = 0xa0, 0xa1, 0xaa
	escaped                        = 0x10
)

func (l *line) Send(_ context.Context, netFn, command uint8, data []byte) ([]byte, error) {
	l.last++
	message := append([]byte{l.last, netFn << 2, command}, data...)
	sum := byte(0)
	for _, b := range message {
		sum += b
	}
	var out []byte
	for _, b := range append(message, -sum) {
		if b == endMessage || b == endCommand || b == escape {
			out = append(out, escape, b|escaped)
			continue
		}
		out = append(out, b)
	}
	_ = l.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := l.conn.Write(append(out, endMessage)); err != nil {
		return nil, err
	}
	return l.answer()
}

// answer reads until the message with the last number; commands to the machine are left out.
func (l *line) answer() ([]byte, error) {
	for {
		var message []byte
		for {
			b, err := l.in.ReadByte()
			if err != nil {
				return nil, err
			}
			if b == endCommand {
				message = nil
				continue
			}
			if b == endMessage {
				break
			}
			if b == escape {
				if b, err = l.in.ReadByte(); err != nil {
					return nil, err
				}
				b &^= escaped
			}
			message = append(message, b)
		}
		if len(message) >= 5 && message[0] == l.last {
			return message[3 : len(message)-1], nil
		}
	}
}

// newSim starts ipmi_sim and connects to its system interface; the port is that of its LAN.
func newSim(t *testing.T) (*line, int) {
	t.Helper()
	dir := t.TempDir()
	lan, serial := freePort(t, "udp"), freePort(t, "tcp")
	for name, text := range map[string]string{
		"where": simWhere, "lan.conf": fmt.Sprintf(simLAN, lan, filepath.Join(dir, "where"), serial), "sim.emu": simMC,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ipmi_sim", "-c", "lan.conf", "-f", "sim.emu", "-s", "state", "-n")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install OpenIPMI's simulator, on Debian with: apt-get install openipmi ipmitool", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(serial)))
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return &line{conn: conn, in: bufio.NewReader(conn)}, lan
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// TestFakeOverItsLine: the fake BMC answers over the line of QEMU as it does without one; a damaged message gets no answer, and does not end it.
func TestFakeOverItsLine(t *testing.T) {
	p := newPort(t, somewhere)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go p.bmc.ServeLine(t.Context(), l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0xff, 1, endCommand, 1, 2, 3, 4, 5, endMessage, endMessage}); err != nil {
		t.Fatal(err)
	}
	got, err := bmc.Ensure(t.Context(), &line{conn: conn, in: bufio.NewReader(conn)}, name, password)
	if err != nil || got.Channel.Address != "192.0.2.7" || p.bmc.Users()[name] != password {
		t.Errorf("%+v, %v", got, err)
	}
}

func freePort(t *testing.T, network string) int {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// ipmitool tells whether a user is let in over the LAN.
func ipmitool(t *testing.T, port int, user, password string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ipmitool", "-I", "lanplus", "-H", "127.0.0.1", "-p", strconv.Itoa(port), "-U", user, "-L", "OPERATOR", "-C", "3", "-R", "1", "-N", "2", "-E", "mc", "info")
	cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// TestOpenIPMI: a BMC that others wrote takes what this client sets up in band: afterwards, and only then, ipmitool logs in over the LAN. Dropped, it is not let in.
func TestOpenIPMI(t *testing.T) {
	l, port := newSim(t)
	if out, ok := ipmitool(t, port, "ipmiusr", "simtest"); !ok {
		t.Fatalf("control: a user of its configuration: %s", out)
	}
	if _, ok := ipmitool(t, port, name, password); ok {
		t.Fatal("control: the user is let in before it is there")
	}
	for range 2 {
		got, err := bmc.Ensure(t.Context(), l, name, password)
		if err != nil {
			t.Fatal(err)
		}
		if want := (bmc.Channel{Number: 1, Address: "192.0.2.7"}); got.Channel != want || got.Slot < 3 {
			t.Errorf("set up is %+v", got)
		}
		if out, ok := ipmitool(t, port, name, password); !ok || !strings.Contains(out, "IPMI Version") {
			t.Errorf("ipmitool is not let in: %s", out)
		}
	}
	if _, ok := ipmitool(t, port, name, "Wrong00000000000"); ok {
		t.Error("control: any password is let in")
	}
	if err := bmc.Drop(t.Context(), l, []string{name, "ipmiusr"}); err != nil {
		t.Fatal(err)
	}
	if _, ok := ipmitool(t, port, name, password); ok {
		t.Error("a dropped user is let in")
	}
	if out, ok := ipmitool(t, port, "ipmiusr", "simtest"); !ok {
		t.Errorf("the other user was touched: %s", out)
	}
}
