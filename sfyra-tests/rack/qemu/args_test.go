package qemu

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/lldp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func mac(last byte) net.HardwareAddr { return net.HardwareAddr{0x52, 0x54, 0, 0, 0, last} }

func small() Spec {
	return Spec{
		Name: "small", CPUs: 1, MemoryMiB: 256,
		NICs:  []NIC{{MAC: mac(1), Model: VirtioNet}},
		Disks: []Disk{{Kind: NVMe, SizeBytes: 1 << 30, Serial: "NV1"}},
	}
}

func full() Spec {
	return Spec{
		Name: "full", UUID: "6d0b0a3e-0000-4000-8000-000000000001",
		Manufacturer: "Ingot, Inc.", Product: "1U", Serial: "S1", SKU: "K1", Family: "F1",
		Board: Board{Manufacturer: "Boards", Product: "B1", Serial: "BS1", AssetTag: "A1"},
		CPUs:  2, MemoryMiB: 1024, IPv6: true,
		NICs: []NIC{{MAC: mac(1), Model: VirtioNet}, {MAC: mac(2), Model: E1000e}},
		Disks: []Disk{
			{Kind: Virtio, SizeBytes: 1 << 30, Serial: "V,1"},
			{Kind: SATA, SizeBytes: 1 << 30, Serial: "A1", WWN: 0x5000c50000000001, Rotational: true},
			{Kind: SCSI, SizeBytes: 1 << 30, Serial: "C1", WWN: 0x5000c50000000002},
			{Kind: NVMe, SizeBytes: 1 << 30, Serial: "N1", Image: "/images/os,1.img"},
		},
	}
}

// odd has the drives that no wipe may touch, and one that other servers see too.
func odd() Spec {
	s := small()
	s.Name = "odd"
	s.Disks = append(s.Disks,
		Disk{Kind: SCSI, Serial: "SH1", WWN: 0x5000c50000000009, Image: "/images/shared.img", Shared: true},
		Disk{Kind: USB, SizeBytes: 1 << 20, Serial: "ST1"},
		Disk{Kind: USBMedia, SizeBytes: 1 << 20},
		Disk{Kind: USBCD, SizeBytes: 1 << 20},
	)
	return s
}

// withDrive has an optical drive that its BMC fills.
func withDrive() Spec {
	s := small()
	s.Name, s.Drive = "drive", true
	return s
}

// holding has an image in it.
func holding(l *Launch) *Launch {
	l.Inserted = true
	return l
}

func launch(spec Spec, override string) *Launch {
	l := &Launch{Spec: &spec, Accel: TCG, CodeFile: "/firmware/CODE.fd", Override: machine.BootOverride{Target: override}}
	for i := range spec.NICs {
		l.Taps = append(l.Taps, "tap"+string(rune('0'+i)))
	}
	return l
}

// TestArgs compares with testdata; INGOT_GOLDEN=write makes it anew.
func TestArgs(t *testing.T) {
	bios, http := small(), small()
	bios.Firmware, bios.Modern = BIOS, true
	first := small()
	first.Firmware, first.DiskFirst = BIOS, true
	http.HTTPBoot = true
	direct := small()
	direct.Direct = &Direct{Kernel: "/images/vmlinuz", Initramfs: "/images/initramfs", Line: "console=ttyS0 a,b"}
	arm := full()
	arm.Arch = ARM64
	armHTTP := launch(small(), machine.TargetUefiHTTP)
	armHTTP.Spec.Arch, armHTTP.Accel = ARM64, KVM
	kvm := launch(small(), "")
	kvm.Spec.Modern = true
	kvm.Accel = KVM
	for name, l := range map[string]*Launch{
		"direct": launch(direct, ""), "direct-hdd": launch(direct, machine.TargetHdd), "small": launch(small(), ""), "full": launch(full(), ""), "full-hdd": launch(full(), machine.TargetHdd),
		"drive-empty": launch(withDrive(), ""), "drive-cd": holding(launch(withDrive(), machine.TargetCd)),
		"small-cd": launch(small(), machine.TargetCd), "small-http": launch(small(), machine.TargetUefiHTTP),
		"disk-first": launch(first, ""), "disk-first-pxe": launch(first, machine.TargetPxe), "odd": launch(odd(), ""), "http-pxe": launch(http, machine.TargetPxe), "bios": launch(bios, ""), "kvm": kvm,
		"arm64": launch(arm, ""), "arm64-http": armHTTP,
	} {
		got := strings.Join(l.Args(), "\n") + "\n"
		path := filepath.Join("testdata", name+".args")
		if os.Getenv("INGOT_GOLDEN") == "write" {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", name, err, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	if s := small(); s.Check() != nil {
		t.Error(s.Check())
	}
	if s := full(); s.Check() != nil {
		t.Error(s.Check())
	}
	if s := odd(); s.Check() != nil {
		t.Error(s.Check())
	}
	for name, spoil := range map[string]func(*Spec){
		"no name":         func(s *Spec) { s.Name = "" },
		"path in name":    func(s *Spec) { s.Name = "../x" },
		"bad UUID":        func(s *Spec) { s.UUID = "1,file=x" },
		"no CPU":          func(s *Spec) { s.CPUs = 0 },
		"many CPUs":       func(s *Spec) { s.CPUs = 17 },
		"little memory":   func(s *Spec) { s.MemoryMiB = 1 },
		"much memory":     func(s *Spec) { s.MemoryMiB = 1 << 20 },
		"no NIC":          func(s *Spec) { s.NICs = nil },
		"many NICs":       func(s *Spec) { s.NICs = make([]NIC, 9) },
		"many disks":      func(s *Spec) { s.Disks = make([]Disk, 13) },
		"control byte":    func(s *Spec) { s.Serial = "a\nb" },
		"long text":       func(s *Spec) { s.Product = strings.Repeat("p", 65) },
		"firmware":        func(s *Spec) { s.Firmware = "coreboot" },
		"architecture":    func(s *Spec) { s.Arch = "m68k" },
		"arm64 with BIOS": func(s *Spec) { s.Arch, s.Firmware = ARM64, BIOS },
		"arm64, direct":   func(s *Spec) { s.Arch, s.Direct = ARM64, &Direct{Kernel: "k"} },
		"BIOS with HTTP":  func(s *Spec) { s.Firmware, s.HTTPBoot = BIOS, true },
		"disk kind":       func(s *Spec) { s.Disks[0].Kind = "tape" },
		"tiny disk":       func(s *Spec) { s.Disks[0].SizeBytes = 512 },
		"odd disk":        func(s *Spec) { s.Disks[0].SizeBytes += 1 },
		"huge disk":       func(s *Spec) { s.Disks[0].SizeBytes = 1 << 50 },
		"long serial":     func(s *Spec) { s.Disks[0].Serial = strings.Repeat("s", 21) },
		"nameless NVMe":   func(s *Spec) { s.Disks[0].Serial = "" },
		"NVMe with WWN":   func(s *Spec) { s.Disks[0].WWN = 1 },
		"virtio with WWN": func(s *Spec) { s.Disks[0].Kind, s.Disks[0].WWN = Virtio, 1 },
		"stick with WWN":  func(s *Spec) { s.Disks[0].Kind, s.Disks[0].WWN = USB, 1 },
		"shared, alone":   func(s *Spec) { s.Disks[0].Shared = true },
		"seventh SATA": func(s *Spec) {
			for i := range 6 {
				s.Disks = append(s.Disks, Disk{Kind: SATA, SizeBytes: 1 << 20, Serial: "A" + string(rune('0'+i))})
			}
		},
		"NIC model":     func(s *Spec) { s.NICs[0].Model = "ne2k" },
		"multicast MAC": func(s *Spec) { s.NICs[0].MAC = net.HardwareAddr{1, 0, 0, 0, 0, 0} },
		"no MAC":        func(s *Spec) { s.NICs[0].MAC = nil },
		"bad neighbour": func(s *Spec) { s.NICs[0].Neighbor = &lldp.Neighbor{} },
	} {
		s := small()
		spoil(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), s.Name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJudgeProbe(t *testing.T) {
	if err := judge(TCG, nil, []byte("x")); err == nil {
		t.Error("a guest that ended without its code was accepted")
	}
}

func TestProbeROM(t *testing.T) {
	rom := probeROM()
	if len(rom) != romSize {
		t.Fatalf("%d bytes", len(rom))
	}
	distance := int(rom[resetVector+1]) | int(rom[resetVector+2])<<8
	if target := (resetVector + 3 + distance) % romSize; target != realCode {
		t.Errorf("the reset vector jumps to %#x", target)
	}
}
