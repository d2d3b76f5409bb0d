package rack

import (
	"strings"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// Identity implements machine.Machine.
func (s *Server) Identity() machine.Identity {
	spec := s.spec
	id := machine.Identity{
		Name: spec.Name, UUID: strings.ToLower(spec.UUID),
		Manufacturer: spec.Manufacturer, Product: spec.Product, Serial: spec.Serial, SKU: spec.SKU, Family: spec.Family,
		BoardManufacturer: spec.Board.Manufacturer, BoardProduct: spec.Board.Product, BoardSerial: spec.Board.Serial,
		AssetTag: spec.Board.AssetTag, CPUs: spec.CPUs, MemoryMiB: spec.MemoryMiB, UEFI: spec.Firmware != qemu.BIOS, Drive: spec.Drive,
	}
	if id.UUID == "" {
		id.UUID = "00000000-0000-0000-0000-000000000000"
	}
	for _, nic := range spec.NICs {
		id.MACs = append(id.MACs, nic.MAC.String())
	}
	for _, disk := range spec.Disks {
		id.Disks = append(id.Disks, machine.Disk{Kind: string(disk.Kind), SizeBytes: disk.SizeBytes, Serial: disk.Serial, WWN: disk.WWN})
	}
	return id
}
