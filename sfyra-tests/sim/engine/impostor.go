package engine

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// lure plans an attack on a boot that just began to matter: the stranger hears every broadcast on the segment.
func (w *World) lure(s *metal.Server, b *metal.BootRecord) {
	w.lureThief(s, b)
	if !w.enabled(Impostor) || b.Phase == metal.BootVoid || b.Phase == metal.BootSwitchingOff || !w.accidents.chance(0.35) {
		return
	}
	if m := w.machineOf(s); m != nil {
		w.in(w.accidents.between(0, 4*time.Minute), func() { w.impostor(m) })
	}
}

// impostor is a stranger with a victim's evidence: it fetches the script, or guesses, replays an old boot id, or reads the right one off the wire.
func (w *World) impostor(victim *machine) {
	if w.calm {
		return
	}
	w.count(impostorsBegun)
	bootID := w.ids.id(12)
	switch w.accidents.upTo(3) {
	case 0:
		d := w.net.script(victim.identity(), "10.66.6.6")
		w.log(victim.name, "a stranger asks for its script: %s %s", d.Target, d.BootID)
		if d.BootID != "" {
			bootID = d.BootID
		}
	case 1:
		if s := w.operator.server(victim); recordOf(s).Boot != nil {
			bootID = recordOf(s).Boot.ID // the script travels in the clear
		}
	default:
	}
	a := w.newAgent(victim, bootID, true)
	w.disguise(a)
	a.begin()
	w.in(w.accidents.between(30*time.Second, 20*time.Minute), a.die)
}

// disguise makes a stranger's report: the victim's disks, sometimes said to be blank, sometimes fewer or more.
func (w *World) disguise(a *agent) {
	for i := range a.shows.Disks {
		if w.accidents.chance(0.5) {
			a.shows.Disks[i].Contents = metal.DiskBlank
		}
	}
	switch n := len(a.shows.Disks); {
	case n > 1 && w.accidents.chance(0.2):
		a.shows.Disks = a.shows.Disks[:n-1]
	case w.accidents.chance(0.1):
		a.shows.Disks = append(a.shows.Disks, metal.Disk{Name: "x", WWID: "wwn-666", Serial: "S666", Transport: "nvme", Contents: metal.DiskBlank, SizeBytes: 1 << 40})
	}
}
