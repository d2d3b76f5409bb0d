//go:build e2e

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/guest/counterpart"
	"ingot.dev/ingot/sfyra-tests/guest/install"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/dhcptest"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/netns"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

func TestMain(m *testing.M) { netns.Main(m) }

// patience bounds one wait for a guest under emulation on a busy host.
const patience = 150 * time.Second

// address is where the counterpart serves, on the rack's own switch.
const address = "192.168.77.1:7445"

// image is a file of the test OS's image.
func image(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("INGOT_TESTOS_IMAGE")
	if dir == "" {
		t.Fatal("INGOT_TESTOS_IMAGE names no folder: run `make e2e`")
	}
	return filepath.Join(dir, name)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// start racks one server with one disk on a switch where somebody gives addresses.
func start(t *testing.T, disk rack.Disk, direct *rack.Direct) *rack.Server {
	t.Helper()
	r, err := rack.New(t.Context(), rack.Config{Dir: t.TempDir(), LLDPInterval: -1, Servers: []rack.Spec{{
		Name: "s", CPUs: 1, MemoryMiB: 512, Disks: []rack.Disk{disk}, Direct: direct,
		NICs: []rack.NIC{{MAC: net.HardwareAddr{0x52, 0x54, 0, 0x77, 1, 1}, Model: qemu.VirtioNet}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Servers()[0]
	t.Cleanup(func() {
		if t.Failed() {
			text := read(t, s.File(qemu.SerialFile))
			t.Logf("the console:\n%s", text[max(0, len(text)-8000):])
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	dhcptest.Serve(t, r.Bridge(), netip.MustParsePrefix("192.168.77.1/24"), netip.MustParseAddr("192.168.77.50"))
	return s
}

// shown waits until the console has a text so many times.
func shown(t *testing.T, s *rack.Server, text string, times int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for strings.Count(string(read(t, s.File(qemu.SerialFile))), text) < times {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the console did not show %q %d times", text, times)
		}
	}
}

// pressButton presses it as a BMC does and waits for off.
func pressButton(t *testing.T, s *rack.Server) {
	t.Helper()
	if err := s.GracefulShutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for on := true; on; {
		var err error
		if on, err = s.PowerState(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the machine did not obey the power button")
		}
	}
}

// TestInstallAndRun: QEMU starts the kernel, and everything after that is as on a claimed server: config, installation, reboot, and the system that runs
// from its disk.
func TestInstallAndRun(t *testing.T) {
	const secret = "a canary that no console shows"
	c := counterpart.New(t, address, "disk: smallest\neverySeconds: 1\nmarks: true\nsecret: "+secret+"\n")
	line := rack.KernelArgs() + " panic=30 testos.truncate=50 ingot.pin=" + c.Pin + " ingot.config="
	direct := &rack.Direct{Kernel: image(t, "vmlinuz"), Initramfs: image(t, "initramfs.zst"), Line: line + "https://" + address + counterpart.ConfigPath}
	s := start(t, rack.Disk{Kind: qemu.NVMe, SizeBytes: 128 << 20, Serial: "NVG1"}, direct)
	c.Serve()
	begin := time.Now()
	if err := s.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What a machine with an installed system does after its reboot: the rack makes a new process then.
	if err := s.SetBootOverride(t.Context(), machine.BootOverride{Target: machine.TargetHdd, Once: true}); err != nil {
		t.Fatal(err)
	}
	c.Await(patience, "GET "+counterpart.ConfigPath, 2)
	c.Await(patience, `POST `+counterpart.SignalPath+` {"boot":"BOOT-1","phase":"installed"}`, 1)
	t.Logf("installed %.1f s after power-on", time.Since(begin).Seconds())
	disk := read(t, s.File(qemu.ImageFile(0)))
	if n := strings.Count(string(disk), install.Mark); n < 32 {
		t.Errorf("the disk has %d marks", n)
	}
	c.Await(patience, `POST `+counterpart.SignalPath+` {"everySeconds":1,"phase":"running"}`, 3)
	t.Logf("running %.1f s after power-on", time.Since(begin).Seconds())
	shown(t, s, "testos: running server=rack1-01 from disk", 1)
	console := string(read(t, s.File(qemu.SerialFile)))
	for _, want := range []string{"broke the first fetch off after 50 bytes", fmt.Sprintf("testos: canary sha256=%x", sha256.Sum256([]byte(secret)))} {
		if !strings.Contains(console, want) {
			t.Errorf("the console lacks %q", want)
		}
	}
	if strings.Contains(console, secret) {
		t.Error("the console shows the secret")
	}
	pressButton(t, s)
}

// TestEveryKindOfDisk: firmware finds the loader on each kind, and the system comes up from it.
func TestEveryKindOfDisk(t *testing.T) {
	for _, kind := range []qemu.DiskKind{qemu.Virtio, qemu.SATA, qemu.SCSI} {
		t.Run(string(kind), func(t *testing.T) {
			c := counterpart.New(t, address, "everySeconds: 1\n")
			s := start(t, rack.Disk{Kind: kind, SizeBytes: 128 << 20, Serial: "G1", Fill: installed(t, c.Config())}, nil)
			c.Serve()
			if err := s.SetBootOverride(t.Context(), machine.BootOverride{Target: machine.TargetHdd}); err != nil {
				t.Fatal(err)
			}
			if err := s.PowerOn(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Await(patience, `POST `+counterpart.SignalPath+` {"everySeconds":1,"phase":"running"}`, 1)
			shown(t, s, "testos: running server=rack1-01 from disk", 1)
		})
	}
}

// installed fills a disk as the system itself would.
func installed(t *testing.T, config string) func(*os.File) error {
	t.Helper()
	system := unpack(t, read(t, image(t, "initramfs.zst")))
	system.KernelLine, system.Config = rack.KernelArgs(), []byte(config)
	return func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return install.Write(f, info.Size(), system)
	}
}
