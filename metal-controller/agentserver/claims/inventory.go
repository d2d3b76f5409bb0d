package claims

import (
	"net/netip"
	"slices"
	"strings"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Bounds of lists; those of the API are the same.
const (
	maxCPUs      = 64
	maxDIMMs     = 256
	maxDisks     = 256
	maxNICs      = 64
	maxPCI       = 512
	maxAddresses = 64
)

// Inventory turns a report into API types: every text one printable line, every list and number bounded. It names the lists that it had to cut.
func Inventory(in *protocol.Inventory) (metal.ServerInventorySpec, []string) {
	c := &converter{}
	out := metal.ServerInventorySpec{
		Arch:      Text(in.GetArch(), 16),
		System:    system(in.GetSystem()),
		Baseboard: board(in.GetBaseboard()),
		Chassis:   board(in.GetChassis()),
		Firmware:  firmware(in.GetFirmware()),
		CPUs:      list(c, "cpus", in.GetCpus(), maxCPUs, cpu),
		Memory: metal.Memory{
			TotalBytes: max(in.GetMemory().GetTotalBytes(), 0),
			DIMMs:      list(c, "dimms", in.GetMemory().GetDimms(), maxDIMMs, dimm),
		},
		Disks: list(c, "disks", in.GetDisks(), maxDisks, disk),
		NICs:  list(c, "nics", in.GetNics(), maxNICs, nic),
		PCI:   list(c, "pci", in.GetPci(), maxPCI, pci),
		TPM:   metal.TPM{Present: in.GetTpm().GetPresent(), Version: Text(in.GetTpm().GetVersion(), 8)},
		IPMI:  in.GetIpmi(),
		Agent: metal.AgentInfo{Version: Text(in.GetAgentVersion(), 64), Kernel: Text(in.GetKernel(), maxText)},
	}
	return out, c.cut
}

// converter remembers which lists were cut.
type converter struct{ cut []string }

// list converts at most limit items.
func list[P, A any](c *converter, name string, in []P, limit int, item func(P) A) []A {
	if len(in) > limit {
		c.cut = append(c.cut, name)
		in = in[:limit]
	}
	var out []A
	for _, p := range in {
		out = append(out, item(p))
	}
	return out
}

func system(p *protocol.System) metal.SystemInfo {
	return metal.SystemInfo{
		Manufacturer: Text(p.GetManufacturer(), maxText), Product: Text(p.GetProduct(), maxText),
		Version: Text(p.GetVersion(), maxText), Serial: Text(p.GetSerial(), maxText),
		SKU: Text(p.GetSku(), maxText), Family: Text(p.GetFamily(), maxText), UUID: cleanUUID(p.GetUuid()),
	}
}

func board(p *protocol.Board) metal.BoardInfo {
	return metal.BoardInfo{
		Manufacturer: Text(p.GetManufacturer(), maxText), Product: Text(p.GetProduct(), maxText),
		Serial: Text(p.GetSerial(), maxText), AssetTag: Text(p.GetAssetTag(), maxText),
	}
}

func firmware(p *protocol.Firmware) metal.FirmwareInfo {
	f := metal.FirmwareInfo{
		Vendor: Text(p.GetVendor(), maxText), Version: Text(p.GetVersion(), maxText),
		Date: Text(p.GetDate(), 32), SecureBoot: p.GetSecureBoot(),
	}
	if m := metal.BootMode(p.GetMode()); m == metal.BootModeUEFI || m == metal.BootModeBIOS {
		f.Mode = m
	}
	return f
}

func cpu(p *protocol.CPU) metal.CPU {
	return metal.CPU{
		Socket: Text(p.GetSocket(), 64), Manufacturer: Text(p.GetManufacturer(), maxText), Model: Text(p.GetModel(), maxText),
		Cores: max(p.GetCores(), 0), Threads: max(p.GetThreads(), 0), SpeedMHz: max(p.GetSpeedMhz(), 0),
	}
}

func dimm(p *protocol.DIMM) metal.DIMM {
	return metal.DIMM{
		Slot: Text(p.GetSlot(), 64), SizeBytes: max(p.GetSizeBytes(), 0), Type: Text(p.GetType(), 32), SpeedMTs: max(p.GetSpeedMts(), 0),
		Manufacturer: Text(p.GetManufacturer(), maxText), Part: Text(p.GetPart(), maxText), Serial: Text(p.GetSerial(), maxText),
	}
}

func disk(p *protocol.Disk) metal.Disk {
	return metal.Disk{
		Name: Text(p.GetName(), 64), SizeBytes: max(p.GetSizeBytes(), 0), Model: Text(p.GetModel(), maxText),
		Serial: Text(p.GetSerial(), maxText), WWID: Text(p.GetWwid(), 256), Transport: Text(p.GetTransport(), 16),
		Rotational: p.GetRotational(), Removable: p.GetRemovable(), ReadOnly: p.GetReadOnly(),
		SectorBytes: max(p.GetSectorBytes(), 0), PCIAddress: Text(p.GetPciAddress(), 16), Contents: contents(p.GetContents()),
	}
}

// contents that are no known word count as unreadable: a disk that nobody understood is not blank.
func contents(s string) metal.DiskContents {
	switch c := metal.DiskContents(s); c {
	case metal.DiskBlank, metal.DiskBootable, metal.DiskData, metal.DiskUnreadable:
		return c
	}
	return metal.DiskUnreadable
}

func nic(p *protocol.NIC) metal.NIC {
	return metal.NIC{
		Name: Text(p.GetName(), 32), MAC: cleanMAC(p.GetMac()), PermanentMAC: cleanMAC(p.GetPermanentMac()),
		Driver: Text(p.GetDriver(), 64), SpeedMbps: max(p.GetSpeedMbps(), 0), Carrier: p.GetCarrier(),
		PCIAddress: Text(p.GetPciAddress(), 16), Neighbor: neighbor(p.GetNeighbor()),
	}
}

func neighbor(p *protocol.Neighbor) *metal.Neighbor {
	if p == nil {
		return nil
	}
	return &metal.Neighbor{
		ChassisID: Text(p.GetChassisId(), 256), PortID: Text(p.GetPortId(), 256),
		PortDescription: Text(p.GetPortDescription(), 256), SystemName: Text(p.GetSystemName(), 256),
	}
}

func pci(p *protocol.PCIDevice) metal.PCIDevice {
	return metal.PCIDevice{
		Address: Text(p.GetAddress(), 16), Vendor: Text(p.GetVendor(), 4), Device: Text(p.GetDevice(), 4),
		Class: Text(p.GetClass(), 6), Driver: Text(p.GetDriver(), 64),
	}
}

// Addresses keeps what is an IP address, without zone, each once.
func Addresses(in []string) []string {
	var out []string
	for _, s := range in[:min(len(in), 4*maxAddresses)] {
		a, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil || a.Zone() != "" || len(out) == maxAddresses {
			continue
		}
		if text := a.Unmap().String(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}
