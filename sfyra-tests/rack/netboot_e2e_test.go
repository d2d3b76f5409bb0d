//go:build e2e

package rack

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"ingot.dev/ingot/sfyra-tests/rack/lldp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/wire"
)

func capture(t *testing.T, device string) *wire.Capture {
	t.Helper()
	c, err := wire.StartCapture(device, filepath.Join(t.TempDir(), device+".pcap"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// discover recognises the DHCP DISCOVER of one NIC and its client architecture (RFC 4578).
func discover(mac net.HardwareAddr, arch iana.Arch) func([]byte) bool {
	return func(frame []byte) bool {
		const ethernet, ip, udp = 14, 20, 8
		if len(frame) < ethernet+ip+udp || binary.BigEndian.Uint16(frame[12:]) != 0x0800 || !bytes.Equal(frame[6:12], mac) {
			return false
		}
		packet, err := dhcpv4.FromBytes(frame[ethernet+ip+udp:])
		if err != nil || packet.MessageType() != dhcpv4.MessageTypeDiscover {
			return false
		}
		archs := packet.ClientArch()
		return len(archs) == 1 && archs[0] == arch
	}
}

func await(t *testing.T, c *wire.Capture, match func([]byte) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.Await(ctx, match); err != nil {
		t.Fatal(err)
	}
}

func on(t *testing.T, s *Server) {
	t.Helper()
	if err := s.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
}

const (
	efiPXE  = iana.EFI_X86_64 // 7 in option 93, as firmware sends it
	efiHTTP = iana.EFI_X86_64_HTTP
)

func TestFirmwareAsksForPXE(t *testing.T) {
	spec := server("pxe", 3)
	r := startRack(t, spec)
	s, _ := r.Server("pxe")
	seen := capture(t, r.Bridge())
	port := capture(t, s.Taps()[0])
	on(t, s)
	await(t, seen, discover(spec.NICs[0].MAC, efiPXE))
	if n := seen.Count(discover(spec.NICs[0].MAC, efiHTTP)); n != 0 {
		t.Errorf("it asked %d times for HTTP boot", n)
	}
	isLLDP := func(frame []byte) bool { return binary.BigEndian.Uint16(frame[12:]) == lldp.EtherType }
	await(t, port, func(frame []byte) bool { return isLLDP(frame) && bytes.Contains(frame, []byte("Eth1/7")) })
	if n := seen.Count(isLLDP); n != 0 {
		t.Errorf("the bridge carried %d LLDP frames", n)
	}
}

func TestFirmwareAsksForHTTP(t *testing.T) {
	spec := server("http", 4)
	spec.HTTPBoot = true
	r := startRack(t, spec)
	s, _ := r.Server("http")
	seen := capture(t, r.Bridge())
	on(t, s)
	await(t, seen, discover(spec.NICs[0].MAC, efiHTTP))
	if n := seen.Count(discover(spec.NICs[0].MAC, efiPXE)); n != 0 {
		t.Errorf("it asked %d times for PXE", n)
	}
}

func TestOverrideOnceServesOneStart(t *testing.T) {
	spec := server("once", 5)
	r := startRack(t, spec)
	s, _ := r.Server("once")
	once := machine.BootOverride{Target: machine.TargetUefiHTTP, Once: true}
	if err := s.SetBootOverride(t.Context(), once); err != nil {
		t.Fatal(err)
	}
	wantOverride(t, s, once)
	on(t, s)
	wantOverride(t, s, machine.BootOverride{Target: machine.TargetNone})
	first := s.PID()
	await(t, capture(t, r.Bridge()), discover(spec.NICs[0].MAC, efiHTTP))

	// Nothing is pending: a warm reset keeps the process, and what it booted with.
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.PID() != first {
		t.Error("a warm reset made a new process")
	}
	// Pending: a cold restart makes a new one that has the override.
	pxe := machine.BootOverride{Target: machine.TargetPxe}
	if err := s.SetBootOverride(t.Context(), pxe); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.PID() == first {
		t.Error("the reset with a pending override kept the process")
	}
	wantOverride(t, s, pxe) // not Once: it stays
	await(t, capture(t, r.Bridge()), discover(spec.NICs[0].MAC, efiPXE))
}

func wantOverride(t *testing.T, s *Server, want machine.BootOverride) {
	t.Helper()
	if got, err := s.BootOverride(t.Context()); err != nil || got != want {
		t.Fatalf("the override is %+v, %v; want %+v", got, err, want)
	}
}
