package inventory

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/agent/protocol"
)

// equal compares messages; every field counts.
func equal(t *testing.T, what string, got, want proto.Message) {
	t.Helper()
	if !proto.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, prototext.Format(got), prototext.Format(want))
	}
}

func TestBoardOfARecordedGuest(t *testing.T) {
	inv := collect(recorded(t, "qemu-ovmf.txtar"), images{}, macs{}).Collect(t.Context())
	equal(t, "system", inv.GetSystem(), &protocol.System{
		Manufacturer: "Acme", Product: "Rocket", Version: "v9", Serial: "SN-77", Sku: "SKU1", Family: "Fam",
		Uuid: "11223344-5566-7788-99aa-bbccddeeff00",
	})
	equal(t, "baseboard", inv.GetBaseboard(), &protocol.Board{Manufacturer: "AcmeB", Product: "Board1", Serial: "BS-1", AssetTag: "BA-1"})
	equal(t, "chassis", inv.GetChassis(), &protocol.Board{Manufacturer: "AcmeC", Serial: "CS-1", AssetTag: "TAG-1"})
	equal(t, "firmware", inv.GetFirmware(), &protocol.Firmware{Vendor: "IngotFW", Version: "1.2.3", Date: "01/02/2026", Mode: "UEFI"})
	equal(t, "cpu", inv.GetCpus()[0], &protocol.CPU{
		Socket: "CPU 0", Manufacturer: "Intel-ish", Model: "CPUModelX", Cores: 2, Threads: 2, SpeedMhz: 2500,
	})
	equal(t, "memory", inv.GetMemory(), &protocol.Memory{TotalBytes: 768 << 20, Dimms: []*protocol.DIMM{
		{Slot: "DIMM 0", SizeBytes: 768 << 20, Type: "RAM", SpeedMts: 3200, Manufacturer: "MemCo", Part: "P-1", Serial: "M-1"},
	}})
	equal(t, "tpm", inv.GetTpm(), &protocol.TPM{})
	if inv.GetKernel() != "6.12.117+deb12-amd64" || inv.GetAgentVersion() != "v1" || inv.GetArch() == "" {
		t.Errorf("got kernel %q, agent %q, arch %q", inv.GetKernel(), inv.GetAgentVersion(), inv.GetArch())
	}
}

func TestDisksOfARecordedGuest(t *testing.T) {
	data := images{"vda": bootable(), "sda": {1}, "sdb": nil}
	got := collect(recorded(t, "qemu-ovmf.txtar"), data, macs{}).Collect(t.Context()).GetDisks()
	want := []*protocol.Disk{
		{
			Name: "nvme0n1", SizeBytes: 64 << 20, Model: "QEMU NVMe Ctrl", Serial: "NV-1", Transport: "nvme", SectorBytes: 512,
			Wwid:       "nvme.1b36-4e562d31-51454d55204e564d65204374726c-00000001",
			PciAddress: "0000:00:02.0", Contents: "Blank",
		},
		{
			Name: "sda", SizeBytes: 64 << 20, Model: "QEMU HARDDISK", Serial: "SC-1", Wwid: "naa.5000c50000000002", Transport: "scsi",
			Rotational: true, SectorBytes: 512, PciAddress: "0000:00:04.0", Contents: "Data",
		},
		{
			Name: "sdb", SizeBytes: 64 << 20, Model: "QEMU HARDDISK", Serial: "SA-1", Wwid: "naa.5000c50000000001", Transport: "sata",
			Rotational: true, SectorBytes: 512, PciAddress: "0000:00:1f.2", Contents: "Unreadable",
		},
		{
			Name: "sdc", SizeBytes: 32 << 20, Model: "QEMU HARDDISK", Transport: "usb", Removable: true,
			Rotational: true, SectorBytes: 512, PciAddress: "0000:00:07.0", Contents: "Blank",
		},
		{
			Name: "vda", SizeBytes: 64 << 20, Serial: "VB-1", Wwid: "virtio.VB-1", Transport: "virtio", Rotational: true, SectorBytes: 512,
			PciAddress: "0000:00:03.0", Contents: "Bootable",
		},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d disks, want %d: neither loop0 nor sr0 is one", len(got), len(want))
	}
	for i := range want {
		equal(t, want[i].GetName(), got[i], want[i])
	}
}

func TestInterfacesOfARecordedGuest(t *testing.T) {
	tree := recorded(t, "qemu-ovmf.txtar")
	const eth1 = "sys/devices/pci0000:00/0000:00:05.0/net/eth1"
	file(tree, eth1+"/carrier", "1\n")
	file(tree, eth1+"/speed", "1000\n")
	// The BMC's interface on USB: many machines have the same address there.
	const usb = "sys/devices/pci0000:00/0000:00:07.0/usb2/2-2/2-2:1.0/net/usb0"
	symlink(tree, "sys/class/net/usb0", "../../"+strings.TrimPrefix(usb, "sys/"))
	symlink(tree, usb+"/device", "../../../2-2:1.0")
	symlink(tree, "sys/devices/pci0000:00/0000:00:07.0/usb2/2-2/2-2:1.0/driver", "../../../../../../bus/usb/drivers/cdc_ether")
	file(tree, usb+"/type", "1")
	file(tree, usb+"/address", "02:00:00:00:00:99")
	inv := collect(tree, images{}, macs{"eth0": "52:54:00:aa:00:02", "eth1": "52:54:00:aa:00:ff", "usb0": "02:00:00:00:00:99"}).Collect(t.Context())
	want := []*protocol.NIC{
		{Name: "eth0", Mac: "52:54:00:aa:00:02", PermanentMac: "52:54:00:aa:00:02", Driver: "virtio_net", PciAddress: "0000:00:06.0"},
		{
			Name: "eth1", Mac: "52:54:00:aa:00:01", PermanentMac: "52:54:00:aa:00:ff", Driver: "e1000e", PciAddress: "0000:00:05.0",
			Carrier: true, SpeedMbps: 1000,
		},
		{Name: "usb0", Mac: "02:00:00:00:00:99", PermanentMac: "02:00:00:00:00:99", Driver: "cdc_ether"},
	}
	if len(inv.GetNics()) != len(want) {
		t.Fatalf("got %d interfaces, want %d: lo has no hardware", len(inv.GetNics()), len(want))
	}
	for i := range want {
		equal(t, want[i].GetName(), inv.GetNics()[i], want[i])
	}
	equal(t, "evidence", Evidence(inv, "52:54:00:aa:00:02"), &protocol.Evidence{
		Uuid: "11223344-5566-7788-99aa-bbccddeeff00", Manufacturer: "Acme", Product: "Rocket", Serial: "SN-77",
		Macs: []string{"52:54:00:aa:00:02", "52:54:00:aa:00:ff"}, BootMac: "52:54:00:aa:00:02",
	})
}

func TestPCIShowsDevicesWithoutDriver(t *testing.T) {
	pci := collect(recorded(t, "qemu-ovmf.txtar"), images{}, macs{}).Collect(t.Context()).GetPci()
	if len(pci) != 11 {
		t.Fatalf("got %d devices", len(pci))
	}
	equal(t, "bound", pci[2], &protocol.PCIDevice{Address: "0000:00:02.0", Vendor: "1b36", Device: "0010", Class: "010802", Driver: "nvme"})
	equal(t, "unbound", pci[1], &protocol.PCIDevice{Address: "0000:00:01.0", Vendor: "1234", Device: "1111", Class: "030000"})
}

func TestFirmwareAndTPM(t *testing.T) {
	tree := recorded(t, "qemu-ovmf.txtar")
	const variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	file(tree, variable, "\x06\x00\x00\x00\x01")
	file(tree, "sys/class/tpm/tpm0/tpm_version_major", "2\n")
	inv := collect(tree, images{}, macs{}).Collect(t.Context())
	if !inv.GetFirmware().GetSecureBoot() {
		t.Error("Secure Boot is not seen")
	}
	equal(t, "tpm", inv.GetTpm(), &protocol.TPM{Present: true, Version: "2.0"})
	delete(tree, variable)
	if inv = collect(tree, images{}, macs{}).Collect(t.Context()); inv.GetFirmware().GetMode() != "BIOS" {
		t.Errorf("without the kernel's folder for EFI the mode is %s", inv.GetFirmware().GetMode())
	}
}

func TestWithoutSMBIOSTheKernelTells(t *testing.T) {
	tree := fstest.MapFS{}
	file(tree, "proc/meminfo", "MemTotal:        4041528 kB\nMemFree: 1 kB\n")
	file(tree, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: X\nmodel name\t: Y\n\nprocessor\t: 1\nvendor_id\t: X\nmodel name\t: Y\n")
	inv := collect(tree, images{}, macs{}).Collect(t.Context())
	equal(t, "memory", inv.GetMemory(), &protocol.Memory{TotalBytes: 4041528 << 10})
	equal(t, "cpu", inv.GetCpus()[0], &protocol.CPU{Manufacturer: "X", Model: "Y", Threads: 2})
	equal(t, "nothing", collect(fstest.MapFS{}, images{}, macs{}).Collect(t.Context()).GetSystem(), &protocol.System{})
}

// TestHostileHardware: absurd counts and strings stay within the limits of the API.
func TestHostileHardware(t *testing.T) {
	tree := fstest.MapFS{}
	for i := range 700 {
		dir := fmt.Sprintf("sys/devices/pci0000:00/0000:00:02.0/host0/target%d/block/sd%d", i, i)
		symlink(tree, fmt.Sprintf("sys/block/sd%d", i), "../"+strings.TrimPrefix(dir, "sys/"))
		file(tree, dir+"/size", "99999999999999999999")
		file(tree, dir+"/device/model", "<b>\x1b[2J\xff\xfe\u202eevil\x00"+strings.Repeat("A", 4000))
		file(tree, fmt.Sprintf("sys/bus/pci/devices/%04x:00:00.0/vendor", i), "0x"+strings.Repeat("8", 3000))
	}
	inv := collect(tree, images{}, macs{}).Collect(t.Context())
	if len(inv.GetDisks()) != maxDisks || len(inv.GetPci()) != maxPCI {
		t.Errorf("got %d disks, %d PCI devices", len(inv.GetDisks()), len(inv.GetPci()))
	}
	model := inv.GetDisks()[0].GetModel()
	if len(model) != 128 || !strings.HasPrefix(model, "<b>[2Jevil") {
		t.Errorf("got model %q", model)
	}
	if size := proto.Size(inv); size > 256<<10 {
		t.Errorf("the report has %d bytes", size)
	}
}
