//go:build bench

package storm

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// What an ordinary server of two sockets holds.
const (
	dimms = 16
	disks = 8
	nics  = 4
	// pciDevices is the length of the largest list of an inventory.
	pciDevices = 64
)

// hardware is an inventory as an agent reports it.
func hardware(m *machine, at metav1.Time) *metal.ServerInventory {
	i := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name(m.n)}}
	s := &i.Spec
	s.Arch, s.ReportedAt, s.Agent = "amd64", at, metal.AgentInfo{Version: "storm", Kernel: "6.18.0-ingot", BootID: fmt.Sprintf("%032x", m.n)}
	s.System = metal.SystemInfo{Manufacturer: "Acme Computers Inc.", Product: "Rack Server 740", Serial: m.serial(), UUID: m.uuid(), SKU: "SKU-740"}
	s.Baseboard = metal.BoardInfo{Manufacturer: "Acme Computers Inc.", Product: "0X1234", Serial: "BB" + m.serial()}
	s.Chassis = metal.BoardInfo{Manufacturer: "Acme Computers Inc.", Serial: "CH" + m.serial()}
	s.Firmware = metal.FirmwareInfo{Vendor: "Acme Computers Inc.", Version: "2.19.1", Date: "06/04/2026", Mode: metal.BootModeUEFI}
	for n := range 2 {
		s.CPUs = append(s.CPUs, metal.CPU{Socket: fmt.Sprintf("CPU%d", n+1), Manufacturer: "Acme", Model: "Acme(R) Gold 6254 CPU @ 3.10GHz", Cores: 18, Threads: 36, SpeedMHz: 3100})
	}
	s.Memory.TotalBytes = dimms * 32 << 30
	for n := range dimms {
		s.Memory.DIMMs = append(s.Memory.DIMMs, metal.DIMM{Slot: fmt.Sprintf("A%d", n+1), SizeBytes: 32 << 30, Type: "DDR4", SpeedMTs: 3200, Manufacturer: "Acme", Part: "M393A4K40DB3-CWE", Serial: fmt.Sprintf("%08X", m.n*dimms+n)})
	}
	s.Disks = drives(m)
	for n := range nics {
		s.NICs = append(s.NICs, port(m, n))
	}
	for n := range pciDevices {
		s.PCI = append(s.PCI, metal.PCIDevice{Address: fmt.Sprintf("0000:%02x:%02x.0", n/8, n%8), Vendor: "8086", Device: fmt.Sprintf("%04x", 0x2000+n), Class: "088000", Driver: "ioatdma"})
	}
	s.TPM = metal.TPM{Present: true, Version: "2.0"}
	return i
}

func drives(m *machine) []metal.Disk {
	var all []metal.Disk
	for n := range disks {
		id := disk(m, n)
		all = append(all, metal.Disk{
			Name: fmt.Sprintf("nvme%dn1", n), SizeBytes: 3840 << 30, Model: "Acme NVMe PM1733", Serial: id.Serial, WWID: id.WWID, Transport: "nvme",
			SectorBytes: 512, PCIAddress: fmt.Sprintf("0000:5%d:00.0", n), Contents: metal.DiskBlank,
		})
	}
	return all
}

func disk(m *machine, n int) metal.DiskID {
	return metal.DiskID{WWID: fmt.Sprintf("eui.%012x%04x", m.n, n), Serial: fmt.Sprintf("S4YNNE%05d%d", m.n, n)}
}

func port(m *machine, n int) metal.NIC {
	mac := m.mac()
	mac[2], mac[3] = byte(n), byte(m.n>>16)
	if n == 0 {
		mac = m.mac()
	}
	return metal.NIC{
		Name: fmt.Sprintf("eno%d", n+1), MAC: mac.String(), PermanentMAC: mac.String(), Driver: "ice", SpeedMbps: 25_000, Carrier: n < 2, PCIAddress: fmt.Sprintf("0000:18:00.%d", n),
		Neighbor: &metal.Neighbor{ChassisID: fmt.Sprintf("02:aa:00:00:%02x:%02x", m.n/40>>8, m.n/40&255), PortID: fmt.Sprintf("Ethernet%d", m.n%40), SystemName: fmt.Sprintf("leaf-%04d", m.n/40)},
	}
}

// wiped is the record of a server that was accepted and wiped.
func wiped(m *machine, installation string, at metav1.Time) *metal.ServerRecord {
	var all []metal.DiskID
	for n := range disks {
		all = append(all, disk(m, n))
	}
	return &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: at, Disks: all}, ManagedBy: &metal.ManagedBy{Installation: installation, Epoch: 1},
		Wipe: &metal.WipeRecord{ID: fmt.Sprintf("%032x", m.n), Level: metal.WipeClear, Disks: all, GrantedAt: at, Generation: 1, BootID: fmt.Sprintf("%032x", m.n), VerifiedAt: &at},
	}
}
