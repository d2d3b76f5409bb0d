package engine

import (
	"slices"
	"strconv"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
)

// network is the boot side of one site: the real matching over a view that lags behind, and the memory of who fetched which script.
type network struct {
	w    *World
	view boot.View
	// by is the replica that the view came from, and that is told of what was fetched.
	by *process
	// first is the address that fetched the script of a boot first.
	first map[string]string
}

// identity is what the machine's firmware and agent say of it.
func (m *machine) identity() boot.Identity {
	return boot.Identity{MACs: []string{m.mac}, Manufacturer: "ACME", Serial: m.serial}
}

// script decides what the machine at an address gets, and notices a second address.
func (n *network) script(id boot.Identity, source string) boot.Decision {
	n.refresh()
	d := boot.Decide(boot.Request{Identity: id, Arch: boot.AMD64, Firmware: "uefi-pxe"}, n.view)
	d = n.system(d)
	switch {
	case (d.Target == boot.Agent || d.Target == boot.OS) && d.BootID != "":
		d = n.sole(d, source)
	case len(d.Conflict) > 0 && n.by != nil && n.by.alive:
		n.by.conflict(d.Conflict)
	case d.Target == boot.LocalDisk && d.Server != "" && n.by != nil && n.by.alive:
		n.w.count(localBoots)
		n.by.localBoot(d.Server, "local-"+strconv.Itoa(n.w.counts[localBoots]))
	}
	n.w.check.scripts(d)
	return d
}

// system is the target that the controller chose where that is an operating system: which files it boots is not modelled.
func (n *network) system(d boot.Decision) boot.Decision {
	for _, s := range n.view.Servers {
		if s.Name == d.Server && s.Target == boot.OS && len(d.Conflict) == 0 {
			d.Target, d.BootID = boot.OS, s.BootID
		}
	}
	return d
}

// sole hands the script of an expected boot to one address only, as pxe-server does.
func (n *network) sole(d boot.Decision, source string) boot.Decision {
	switch first := n.first[d.BootID]; first {
	case "":
		n.first[d.BootID] = source
		return d
	case source:
		return d
	}
	n.first[d.BootID] = "contested"
	n.w.count(secondSources)
	n.report(d.Server, d.BootID)
	d.Target, d.Reason, d.BootID = boot.Idle, reasons.IdentityConflict, ""
	return d
}

// refresh brings the view up to date with what the replica that serves it knows. A stale one stays as it is for a while.
func (n *network) refresh() {
	if n.w.enabled(StaleView) && n.view.Policy != "" && n.w.accidents.chance(0.5) {
		n.w.count(staleViews)
		return
	}
	if p := n.w.anyProcess(); p != nil {
		n.by = p
		n.view = boot.View{Policy: boot.RegisterOnce, Servers: p.table(), Images: []string{boot.AMD64}}
	}
}

// report tells a replica that a boot's script was fetched twice. What is lost is told again by the next fetch only.
func (n *network) report(server, bootID string) {
	if n.w.enabled(LostReceipts) && n.w.accidents.chance(0.3) {
		n.w.count(reportsLost)
		return
	}
	n.w.in(n.w.accidents.between(100*time.Millisecond, 3*time.Second), func() {
		if p := n.w.anyProcess(); p != nil {
			p.void(server, bootID)
		}
	})
}

// inventory is what the agent on the machine reads of its hardware.
func (m *machine) inventory() metal.ServerInventorySpec {
	spec := metal.ServerInventorySpec{
		Arch:   boot.AMD64,
		IPMI:   m.w.kinds.Has(Accounts),
		System: metal.SystemInfo{Manufacturer: "ACME", Serial: m.serial},
		NICs:   []metal.NIC{{Name: "eth0", MAC: m.mac, PermanentMAC: m.mac, PCIAddress: "0000:01:00.0", Carrier: true}},
	}
	for _, d := range m.disks {
		spec.Disks = append(spec.Disks, d.shows())
	}
	return spec
}

// own lists the machine's own disks, as the models know them.
func (m *machine) own() []*disk {
	return slices.DeleteFunc(slices.Clone(m.disks), func(d *disk) bool { return !d.own() })
}
