package allocate

import (
	"slices"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// direct are transports of directly attached disks. All others, also ones of a newer agent, are nobody's own.
var direct = []string{"nvme", "sata", "sas", "scsi", "raid", "mmc", "virtio"}

// ownDisks are the disks that count: directly attached, writable, with a world-wide identifier that no other disk of the server shows, not removable and
// not ignored. lifecycle judges disks by the same words before it wipes any; it also asks whether another server shows them, which keeps a server from
// becoming Available.
func ownDisks(server *metal.Server, i *metal.ServerInventorySpec) []metal.Disk {
	seen := map[string]int{}
	for _, d := range i.Disks {
		seen[strings.ToLower(d.WWID)]++
	}
	var own []metal.Disk
	for _, d := range i.Disks {
		ignored := slices.ContainsFunc(server.Spec.IgnoredDisks, func(s metal.DiskSelector) bool { return s.Selects(d) })
		if !ignored && !d.Removable && !d.ReadOnly && slices.Contains(direct, d.Transport) && d.WWID != "" && seen[strings.ToLower(d.WWID)] == 1 {
			own = append(own, d)
		}
	}
	return own
}

// Cores of all CPUs together.
func Cores(i *metal.ServerInventorySpec) (n int) {
	for _, c := range i.CPUs {
		n += int(max(c.Cores, 0))
	}
	return n
}
