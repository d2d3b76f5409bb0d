//go:build e2e_talos

package talos

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/dhcptest"
	"ingot.dev/ingot/sfyra-tests/rack/netns"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

func TestMain(m *testing.M) { netns.Main(m) }

// patience bounds one wait for a guest under emulation on a busy host: five times what an idle one needs for its longest one, a control plane.
const patience = 25 * time.Minute

// Addresses of the lab.
var (
	self    = netip.MustParsePrefix("192.168.77.1/24")
	address = netip.MustParseAddr("192.168.77.50")
)

// open is the guest that `make talos` built.
func open(t *testing.T) Guest {
	t.Helper()
	dir := os.Getenv("INGOT_TALOS_GUEST")
	if dir == "" {
		t.Fatal("INGOT_TALOS_GUEST names no folder: run `make e2e-talos`")
	}
	guest, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return guest
}

// lab is one server with the guest on its disk or in its memory, and who asks it.
type lab struct {
	t      *testing.T
	guest  Guest
	server *rack.Server
	// home is the client's, so that it finds no talosconfig of whoever runs the test.
	home string
	// config is the client's talosconfig; empty asks without a certificate.
	config string
	begin  time.Time
	watch  Stopwatch
	// fetched counts how often the machine config was handed out.
	fetched atomic.Int32
}

// newLab racks a server that boots the guest's kernel itself, with more arguments. It is off; fill writes its disk, nil leaves it blank.
func newLab(t *testing.T, memoryMiB int, line string, fill func(*os.File) error) *lab {
	t.Helper()
	guest := open(t)
	r, err := rack.New(t.Context(), rack.Config{Dir: t.TempDir(), LLDPInterval: -1, Servers: []rack.Spec{{
		Name: "talos", UUID: "6d0b0a3e-0000-4000-8000-0000000000aa", CPUs: 2, MemoryMiB: memoryMiB, Modern: true, Firmware: qemu.BIOS,
		Disks:  []rack.Disk{{Kind: qemu.NVMe, SizeBytes: 8 << 30, Serial: "NVTALOS", Fill: fill}},
		NICs:   []rack.NIC{{MAC: net.HardwareAddr{0x52, 0x54, 0, 0x77, 2, 1}, Model: qemu.VirtioNet}},
		Direct: &rack.Direct{Kernel: guest.File(KernelName), Initramfs: guest.File(InitramfsName), Line: rack.KernelArgs() + " " + KernelArgs() + " " + line},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, guest: guest, server: r.Servers()[0], home: t.TempDir(), watch: Stopwatch{Who: "QEMU alone"}}
	t.Cleanup(func() {
		if t.Failed() {
			text := l.console()
			t.Logf("the console:\n%s", text[max(0, len(text)-50000):])
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	dhcptest.Serve(t, r.Bridge(), self, address)
	return l
}

func (l *lab) powerOn() {
	l.t.Helper()
	l.begin = time.Now()
	l.watch.Start()
	if err := l.server.PowerOn(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// lap keeps how long a phase took.
func (l *lab) lap(phase string) {
	if err := l.watch.Lap(phase); err != nil {
		l.t.Error(err)
	}
}

func (l *lab) console() string {
	text, err := os.ReadFile(l.server.File(qemu.SerialFile))
	if err != nil {
		l.t.Log(err)
	}
	return string(text)
}

// callTime bounds one call of talosctl: a handshake with an emulated processor takes seconds.
const callTime = 30 * time.Second

// call runs the real talosctl against the server, and gives what it says.
func (l *lab) call(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), callTime)
	defer cancel()
	who := []string{"--insecure"}
	if l.config != "" {
		who = []string{"--talosconfig", l.config, "--endpoints", address.String()}
	}
	cmd := exec.CommandContext(ctx, l.guest.Program("talosctl"), append(append(args, "--nodes", address.String()), who...)...)
	cmd.Env = append(os.Environ(), "HOME="+l.home)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// pace is how long to wait between two calls: each costs the guest seconds of an emulated processor, which its control plane lacks.
const pace = 10 * time.Second

// await calls until the answer has a text, and tells how long that took since power-on.
func (l *lab) await(want string, args ...string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		said, err := l.call(args...)
		if err == nil && strings.Contains(said, want) {
			l.t.Logf("%5.1f s after power-on: talosctl %s: %q", time.Since(l.begin).Seconds(), strings.Join(args, " "), want)
			return said
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("talosctl %s never said %q; last: %v: %s", strings.Join(args, " "), want, err, said)
		}
	}
}
