package inventory

import (
	"strconv"
	"strings"

	"ingot.dev/ingot/agent/inventory/smbios"
	"ingot.dev/ingot/agent/protocol"
)

// Lengths of strings here and in the other files are the MaxLength of the fields in crds/metal/v1alpha1/inventory_types.go.

func system(s smbios.System) *protocol.System {
	return &protocol.System{
		Manufacturer: Clean(s.Manufacturer, 128), Product: Clean(s.Product, 128), Version: Clean(s.Version, 128),
		Serial: Clean(s.Serial, 128), Sku: Clean(s.SKU, 128), Family: Clean(s.Family, 128), Uuid: s.UUID,
	}
}

func board(b smbios.Board) *protocol.Board {
	return &protocol.Board{
		Manufacturer: Clean(b.Manufacturer, 128), Product: Clean(b.Product, 128),
		Serial: Clean(b.Serial, 128), AssetTag: Clean(b.AssetTag, 128),
	}
}

// firmware adds to SMBIOS how the kernel was really started.
func (c *Collector) firmware(f smbios.Firmware) *protocol.Firmware {
	out := &protocol.Firmware{Vendor: Clean(f.Vendor, 128), Version: Clean(f.Version, 128), Date: Clean(f.Date, 32), Mode: "BIOS"}
	if !c.exists("sys/firmware/efi") {
		return out
	}
	out.Mode = "UEFI"
	// Four bytes of attributes, then the value: 1 while Secure Boot is enforced (UEFI 2.10 section 3.3).
	v := c.bytes("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", 16)
	out.SecureBoot = len(v) == 5 && v[4] == 1
	return out
}

// cpus lists the filled sockets; firmware without type 4 leaves it to the kernel, which sees one.
func (c *Collector) cpus(ps []smbios.Processor) []*protocol.CPU {
	if len(ps) == 0 {
		return c.kernelCPU()
	}
	var out []*protocol.CPU
	for _, p := range limit(c.Log, "processors", ps, maxCPUs) {
		out = append(out, &protocol.CPU{
			Socket: Clean(p.Socket, 64), Manufacturer: Clean(p.Manufacturer, 128), Model: Clean(p.Model, 128),
			Cores: int32Of(p.Cores), Threads: int32Of(p.Threads), SpeedMhz: int32Of(p.SpeedMHz),
		})
	}
	return out
}

func (c *Collector) kernelCPU() []*protocol.CPU {
	cpu := &protocol.CPU{}
	for line := range strings.SplitSeq(string(c.bytes("proc/cpuinfo", 1<<20)), "\n") {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			cpu.Threads++
		case "vendor_id":
			cpu.Manufacturer = Clean(value, 128)
		case "model name":
			cpu.Model = Clean(value, 128)
		}
	}
	if cpu.Threads == 0 {
		return nil
	}
	return []*protocol.CPU{cpu}
}

// memory lists the DIMMs. The total is their sum, else what firmware maps, else what the kernel sees.
func (c *Collector) memory(t smbios.Tables) *protocol.Memory {
	out := &protocol.Memory{}
	for _, d := range limit(c.Log, "DIMMs", t.DIMMs, maxDIMMs) {
		out.TotalBytes += d.SizeBytes
		out.Dimms = append(out.Dimms, &protocol.DIMM{
			Slot: Clean(d.Slot, 64), SizeBytes: d.SizeBytes, Type: Clean(d.Type, 32), SpeedMts: int32Of(d.SpeedMTs),
			Manufacturer: Clean(d.Manufacturer, 128), Part: Clean(d.Part, 128), Serial: Clean(d.Serial, 128),
		})
	}
	if out.TotalBytes == 0 {
		out.TotalBytes = t.MappedBytes
	}
	if out.TotalBytes == 0 {
		out.TotalBytes = c.kernelMemory()
	}
	return out
}

func (c *Collector) kernelMemory() int64 {
	for line := range strings.SplitSeq(string(c.bytes("proc/meminfo", maxText)), "\n") {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 44)
			if err == nil && kib > 0 {
				return kib << 10
			}
		}
	}
	return 0
}

// ipmi says whether the kernel found a way to the BMC (Documentation/driver-api/ipmi.rst).
func (c *Collector) ipmi() bool { return c.text("sys/class/ipmi/ipmi0/dev") != "" }

// tpm reports the first TPM that the kernel drives.
func (c *Collector) tpm() *protocol.TPM {
	if !c.exists("sys/class/tpm/tpm0") {
		return &protocol.TPM{}
	}
	versions := map[string]string{"1": "1.2", "2": "2.0"}
	return &protocol.TPM{Present: true, Version: versions[c.text("sys/class/tpm/tpm0/tpm_version_major")]}
}
