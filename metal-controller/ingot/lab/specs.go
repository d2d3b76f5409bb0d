package lab

import (
	"fmt"
	"net"

	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// ouiQEMU is the prefix that QEMU's documentation gives to its guests: locally administered.
var ouiQEMU = []byte{0x52, 0x54, 0x00}

// specs are the servers of the lab: alike, with disks of every kind between them.
func specs(count int) []rack.Spec {
	var all []rack.Spec
	for i := 1; i <= count; i++ {
		all = append(all, spec(i))
	}
	return all
}

// nameOf is the name of the i-th server, from 1.
func nameOf(i int) string { return fmt.Sprintf("rack1-%02d", i) }

func spec(i int) rack.Spec {
	return rack.Spec{
		Name: nameOf(i), UUID: fmt.Sprintf("1a60701a-b000-4000-8000-%012d", i),
		Manufacturer: "Ingot", Product: "Virtual Server", Serial: fmt.Sprintf("LAB%05d", i), Family: "Lab",
		Board: rack.Board{Manufacturer: "Ingot", Product: "Virtual Board", Serial: fmt.Sprintf("LABB%04d", i), AssetTag: fmt.Sprintf("asset-%02d", i)},
		CPUs:  1, MemoryMiB: 1024,
		Disks: disks(i),
		NICs: []rack.NIC{{
			MAC: mac(i), Model: qemu.VirtioNet,
			Neighbor: &rack.Neighbor{Chassis: append(net.HardwareAddr(ouiQEMU), 0xff, 0xff, 0x01), Port: fmt.Sprintf("Eth1/%d", i), System: "leaf-01"},
		}},
		Firmware: qemu.UEFI,
	}
}

// disks are an NVMe drive in every server, and a second one whose kind changes from server to server.
func disks(i int) []rack.Disk {
	const gib = 1 << 30
	second := []qemu.DiskKind{qemu.SATA, qemu.Virtio, qemu.SCSI}[(i-1)%3]
	return []rack.Disk{
		{Kind: qemu.NVMe, SizeBytes: 2 * gib, Serial: fmt.Sprintf("NVME%04d", i)},
		{Kind: second, SizeBytes: gib, Serial: fmt.Sprintf("DISK%04d", i)},
	}
}

func mac(i int) net.HardwareAddr {
	return append(append(net.HardwareAddr(nil), ouiQEMU...), 0x1a, 0xb0, byte(i))
}
