//go:build e2e

package rack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/rack/qmp"
)

// patience bounds one wait for a guest under emulation on a busy host.
const patience = 150 * time.Second

func startRack(t *testing.T, specs ...Spec) *Rack {
	t.Helper()
	goleak.VerifyNone(t)
	r, err := New(t.Context(), Config{Dir: t.TempDir(), Servers: specs, LLDPInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			logConsoles(t, r)
		}
		goleak.VerifyNone(t)
	})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func logConsoles(t *testing.T, r *Rack) {
	t.Helper()
	for _, s := range r.Servers() {
		text, err := os.ReadFile(s.File(qemu.SerialFile))
		t.Logf("console of %s (%v):\n%q", s.spec.Name, err, text[max(0, len(text)-6000):])
	}
}

func server(name string, last byte) Spec {
	return Spec{
		Name: name, UUID: "6d0b0a3e-0000-4000-8000-0000000000" + string("0123456789abcdef"[last>>4]) + string("0123456789abcdef"[last&15]),
		Manufacturer: "Ingot, Inc.", Product: "Virtual 1U", Serial: "SN-" + name,
		CPUs: 1, MemoryMiB: 256,
		NICs: []NIC{{
			MAC: net.HardwareAddr{0x52, 0x54, 0, 0x77, 0, last}, Model: qemu.VirtioNet,
			Neighbor: &Neighbor{Chassis: net.HardwareAddr{0x52, 0x54, 0, 0xff, 0xff, 0xff}, Port: "Eth1/7", System: "leaf-01", Lifetime: 2 * time.Minute},
		}},
		Disks: []Disk{{Kind: qemu.NVMe, SizeBytes: 64 << 20, Serial: "NV-" + name}},
	}
}

// awaitOutput reads the console until text appears.
func awaitOutput(t *testing.T, console io.Reader, text string) {
	t.Helper()
	var seen []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(seen, []byte(text)) {
		n, err := console.Read(buf)
		if err != nil {
			t.Fatalf("%q did not appear: %v; console:\n%s", text, err, seen)
		}
		seen = append(seen, buf[:n]...)
	}
}

func openConsole(t *testing.T, s *Server) io.ReadWriteCloser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	console, err := s.Console(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = console.Close() })
	return console
}

func wantPower(t *testing.T, s *Server, want bool) {
	t.Helper()
	if on, err := s.PowerState(t.Context()); err != nil || on != want {
		t.Fatalf("power is %v, %v; want %v", on, err, want)
	}
	if _, err := os.Stat("/proc/" + itoa(s.PID()) + "/exe"); (err == nil) != want {
		t.Fatalf("the process list disagrees: %v", err)
	}
}

func TestPowerIsTheProcess(t *testing.T) {
	r := startRack(t, server("one", 1))
	s, _ := r.Server("one")
	wantPower(t, s, false)
	for what, request := range map[string]func(context.Context) error{
		"force off": s.ForceOff, "shutdown": s.GracefulShutdown, "reset": s.Reset,
	} {
		if err := request(t.Context()); !errors.Is(err, machine.ErrPoweredOff) {
			t.Errorf("%s while off: %v", what, err)
		}
	}
	if err := s.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPower(t, s, true)
	if err := s.PowerOn(t.Context()); !errors.Is(err, machine.ErrPoweredOn) {
		t.Errorf("on while on: %v", err)
	}
	witness, err := qmp.Dial(t.Context(), s.File(qemu.MonitorFile))
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	if status, err := witness.Status(t.Context()); err != nil || status != "running" {
		t.Errorf("the second monitor says %q, %v", status, err)
	}
	awaitOutput(t, openConsole(t, s), "Start PXE over IPv4")
	log, err := os.ReadFile(s.File(qemu.SerialFile))
	if err != nil || !bytes.Contains(log, []byte("Start PXE")) {
		t.Errorf("the serial log holds %d bytes, %v", len(log), err)
	}
	if err := s.ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPower(t, s, false)
}
