// Package identity says how a Server is recognised: by what the operator declared and by what its agent reported.
//
// It is pure (layer 1): API types in, the plain data of pxe-server/boot out. Whoever matches evidence uses this one table, so that the boot side
// and the enrolment side never disagree.
package identity

import (
	"slices"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/pxe-server/boot"
)

// Of is the identity of one Server. What the operator declared wins over what was reported, except that MACs add up.
func Of(server *metal.Server, inventory *metal.ServerInventorySpec) boot.Identity {
	var id boot.Identity
	if d := server.Spec.Identity; d != nil {
		id = boot.Identity{MACs: slices.Clone(d.MACs), Manufacturer: d.Manufacturer, Serial: d.Serial, UUID: d.UUID}
	}
	if inventory == nil {
		return id
	}
	if id.Serial == "" {
		id.Manufacturer, id.Serial = inventory.System.Manufacturer, inventory.System.Serial
	}
	if id.UUID == "" {
		id.UUID = strings.ToLower(inventory.System.UUID)
	}
	for _, n := range inventory.NICs {
		if mac := PermanentMAC(n); mac != "" && !slices.Contains(id.MACs, mac) {
			id.MACs = append(id.MACs, mac)
		}
	}
	return id
}

// PermanentMAC is the address that an interface on the PCI bus was made with; empty for others, since a USB adapter moves between machines.
func PermanentMAC(n metal.NIC) string {
	if n.PCIAddress == "" {
		return ""
	}
	if n.PermanentMAC != "" {
		return strings.ToLower(n.PermanentMAC)
	}
	return strings.ToLower(n.MAC)
}

// Table lists all Servers as the boot side of an installation knows them, by name. Those of other installations get no answer from it.
func Table(servers []metal.Server, inventories []metal.ServerInventory, installation string) []boot.Server {
	byName := make(map[string]*metal.ServerInventorySpec, len(inventories))
	for i := range inventories {
		byName[inventories[i].Name] = &inventories[i].Spec
	}
	table := make([]boot.Server, 0, len(servers))
	for i := range servers {
		r := row(&servers[i], byName[servers[i].Name])
		if servers[i].Spec.Record.Foreign(installation) {
			r.Target, r.BootID = boot.NoAnswer, ""
		}
		table = append(table, r)
	}
	slices.SortFunc(table, func(a, b boot.Server) int { return strings.Compare(a.Name, b.Name) })
	return table
}

// row is one Server. One without a decided target waits in the boot script until lifecycle decides, which takes an instant.
func row(s *metal.Server, inventory *metal.ServerInventorySpec) boot.Server {
	r := boot.Server{
		Name: s.Name, Identity: Of(s, inventory),
		Accepted: s.Spec.Accepted, Registered: inventory != nil, Target: boot.Idle,
	}
	if b := s.Status.Boot; b != nil {
		r.Target, r.BootID = boot.Target(b.Target), b.ID
	}
	return r
}
