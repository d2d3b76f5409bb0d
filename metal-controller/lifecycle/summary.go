package lifecycle

import (
	"fmt"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// summarize makes the ten fields for people out of an inventory.
func summarize(i *metal.ServerInventorySpec) *metal.InventorySummary {
	return &metal.InventorySummary{
		Manufacturer: i.System.Manufacturer,
		Product:      i.System.Product,
		Serial:       i.System.Serial,
		Arch:         i.Arch,
		CPU:          cpus(i.CPUs),
		Cores:        cores(i.CPUs),
		Memory:       binarySize(i.Memory.TotalBytes),
		Disks:        disks(i.Disks),
		NICs:         nics(i.NICs),
		MAC:          firstMAC(i.NICs),
	}
}

func cpus(list []metal.CPU) string {
	if len(list) == 0 {
		return ""
	}
	model := list[0].Model
	if model == "" {
		model = "unknown model"
	}
	text := clip(fmt.Sprintf("%d x %s", len(list), model), 240)
	if n := cores(list); n > 0 {
		text += ", " + count(int(n), "core")
	}
	return text
}

// count writes "1 disk", "2 disks".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func cores(list []metal.CPU) int32 {
	var n int64
	for _, c := range list {
		n += int64(max(c.Cores, 0))
	}
	return int32(min(n, 1<<20))
}

// disks counts the disks that stay in the machine and sums their sizes.
func disks(list []metal.Disk) string {
	own, total := 0, float64(0)
	for _, d := range list {
		if !d.Removable {
			own++
			total += float64(max(d.SizeBytes, 0))
		}
	}
	if own == 0 {
		return "no disks"
	}
	return count(own, "disk") + ", " + decimalSize(total)
}

func nics(list []metal.NIC) string {
	fastest, up := int32(0), 0
	for _, n := range list {
		fastest = max(fastest, n.SpeedMbps)
		if n.Carrier {
			up++
		}
	}
	if len(list) == 0 {
		return "no NICs"
	}
	s := fmt.Sprintf("%s, %d up", count(len(list), "NIC"), up)
	if fastest > 0 {
		s += fmt.Sprintf(", %g Gb/s", float64(fastest)/1000)
	}
	return s
}

// firstMAC is the first interface with a link, or the first at all.
func firstMAC(list []metal.NIC) string {
	first := ""
	for _, n := range list {
		if n.Carrier && n.MAC != "" {
			return n.MAC
		}
		if first == "" {
			first = n.MAC
		}
	}
	return first
}

// binarySize writes memory sizes as vendors sell them: in powers of two.
func binarySize(n int64) string {
	if n <= 0 {
		return ""
	}
	const gib = 1 << 30
	if n < gib {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/gib), ".0") + " GiB"
}

// decimalSize writes disk sizes as vendors sell them: in powers of ten.
func decimalSize(n float64) string {
	unit := "GB"
	n /= 1e9
	if n >= 1000 {
		n, unit = n/1000, "TB"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + " " + unit
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
