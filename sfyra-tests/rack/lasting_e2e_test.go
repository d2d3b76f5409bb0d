//go:build e2e

package rack

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/rack/testos"
)

// TestGuestRebootHonoursOverride: a BMC's override counts for the next boot,
// also when the system in the guest causes it.
func TestGuestRebootHonoursOverride(t *testing.T) {
	spec := withSystem(server("reboot", 6))
	r := startRack(t, spec)
	s, _ := r.Server("reboot")
	toDisk := machine.BootOverride{Target: machine.TargetHdd, Once: true}
	if err := s.SetBootOverride(t.Context(), toDisk); err != nil {
		t.Fatal(err)
	}
	on(t, s)
	console := openConsole(t, s)
	awaitOutput(t, console, testos.Banner)

	// The control: nothing is pending, a reboot keeps the process and its boot order.
	first := s.PID()
	reboot(t, console)
	awaitOutput(t, console, testos.Banner)
	if s.PID() != first {
		t.Error("a plain reboot made a new process")
	}
	if err := s.SetBootOverride(t.Context(), machine.BootOverride{Target: machine.TargetPxe, Once: true}); err != nil {
		t.Fatal(err)
	}
	seen := capture(t, r.Bridge())
	reboot(t, console)
	await(t, seen, discover(spec.NICs[0].MAC, efiPXE))
	if pid := s.PID(); pid == first || pid == 0 {
		t.Errorf("process %d after %d", pid, first)
	}
	wantOverride(t, s, machine.BootOverride{Target: machine.TargetNone})
}

func reboot(t *testing.T, console io.Writer) {
	t.Helper()
	if _, err := console.Write([]byte{testos.RebootKey}); err != nil {
		t.Fatal(err)
	}
}

// TestFirmwareHasNoButton: what runs must answer the power button itself; the
// firmware does not, and the server stays on.
func TestFirmwareHasNoButton(t *testing.T) {
	spec := server("button", 7)
	r := startRack(t, spec)
	s, _ := r.Server("button")
	seen := capture(t, r.Bridge())
	on(t, s)
	await(t, seen, discover(spec.NICs[0].MAC, efiPXE))
	if err := s.GracefulShutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPower(t, s, true)
}

func TestVariablesOutliveTheRack(t *testing.T) {
	spec := server("vars", 8)
	config := Config{Dir: t.TempDir(), Servers: []Spec{spec}, LLDPInterval: -1}
	for run := range 2 {
		r, err := New(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := r.Server("vars")
		if has := hasPXEEntry(t, s); has != (run == 1) {
			t.Errorf("run %d: a PXE entry in the variables: %v", run, has)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen := capture(t, r.Bridge())
		on(t, s)
		await(t, seen, discover(spec.NICs[0].MAC, efiPXE))
		pid := s.PID()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("/proc/" + itoa(pid)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the process outlived the rack: %v", err)
		}
	}
}

func hasPXEEntry(t *testing.T, s *Server) bool {
	t.Helper()
	vars, err := os.ReadFile(s.File(qemu.VarsFile))
	if err != nil {
		t.Fatal(err)
	}
	var wide []byte
	for _, unit := range utf16.Encode([]rune("UEFI PXEv4")) {
		wide = binary.LittleEndian.AppendUint16(wide, unit)
	}
	return bytes.Contains(vars, wide)
}

// TestEveryDeviceIsTaken: QEMU accepts each kind of hardware, with awkward texts.
func TestEveryDeviceIsTaken(t *testing.T) {
	spec := server("all", 9)
	spec.UUID, spec.CPUs = "", 2
	spec.SKU, spec.Family = "K,1", "a=b"
	spec.Board = Board{Manufacturer: "Boards", Product: "B1", Serial: "BS,1", AssetTag: "A1"}
	spec.NICs = append(spec.NICs, NIC{MAC: append(spec.NICs[0].MAC[:5:5], 0xfe), Model: qemu.E1000e})
	spec.Disks = append(spec.Disks,
		Disk{Kind: qemu.Virtio, SizeBytes: 16 << 20, Serial: "V,1"},
		Disk{Kind: qemu.SATA, SizeBytes: 16 << 20, Serial: "A1", WWN: 0x5000c50000000001, Rotational: true},
		Disk{Kind: qemu.SCSI, SizeBytes: 16 << 20, Serial: "C1", WWN: 0x5000c50000000002},
	)
	bios := server("bios", 10)
	bios.Firmware = qemu.BIOS
	r := startRack(t, spec, bios)
	for _, s := range r.Servers() {
		on(t, s)
		wantPower(t, s, true)
		if err := s.ForceOff(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestTwoServersShareADrive: both run with the same image at once. The control: without Shared, QEMU's lock refuses the second one.
func TestTwoServersShareADrive(t *testing.T) {
	image := filepath.Join(t.TempDir(), "shelf.img")
	if err := os.WriteFile(image, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := server("first", 12), server("second", 13)
	shelf := Disk{Kind: qemu.SCSI, Image: image, Serial: "SHELF1", WWN: 0x5000c50000000099, Shared: true}
	alone := shelf
	alone.Shared = false
	third, fourth := server("third", 14), server("fourth", 15)
	first.Disks, second.Disks = append(first.Disks, shelf), append(second.Disks, shelf)
	third.Disks, fourth.Disks = append(third.Disks, alone), append(fourth.Disks, alone)
	first.Disks = append(first.Disks, Disk{Kind: qemu.USB, SizeBytes: 1 << 20, Serial: "STICK1"},
		Disk{Kind: qemu.USBMedia, SizeBytes: 1 << 20}, Disk{Kind: qemu.USBCD, SizeBytes: 1 << 20})
	r := startRack(t, first, second, third, fourth)
	all := r.Servers()
	on(t, all[0])
	on(t, all[1])
	wantPower(t, all[0], true)
	wantPower(t, all[1], true)
	for _, s := range all[:2] {
		if err := s.ForceOff(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	on(t, all[2])
	if err := all[3].PowerOn(t.Context()); err == nil || !strings.Contains(err.Error(), "lock") {
		t.Errorf("two servers without Shared: %v", err)
	}
}

func TestQEMUComplaintIsPassedOn(t *testing.T) {
	spec := server("broken", 11)
	r := startRack(t, spec)
	s, _ := r.Server("broken")
	if err := os.Remove(s.File(qemu.ImageFile(0))); err != nil {
		t.Fatal(err)
	}
	if err := s.PowerOn(t.Context()); err == nil || !bytes.Contains([]byte(err.Error()), []byte(qemu.ImageFile(0))) {
		t.Errorf("got %v", err)
	}
	wantPower(t, s, false)
}

func TestProbeFindsAnAccelerator(t *testing.T) {
	code := defaultCode
	accel, err := qemu.Probe(t.Context(), code)
	if err != nil || accel != qemu.TCG && accel != qemu.KVM {
		t.Fatalf("%q, %v", accel, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := qemu.Probe(ctx, code); err == nil {
		t.Error("a probe that could not run succeeded")
	}
}
