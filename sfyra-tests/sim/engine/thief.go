package engine

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// lureThief plans a theft of the config of a boot that just began to matter: its script travels in the clear.
func (w *World) lureThief(s *metal.Server, b *metal.BootRecord) {
	if !w.enabled(Thieves) || b.Target != metal.BootTargetOS || b.Phase != metal.BootBooting || !w.accidents.chance(0.4) {
		return
	}
	boot := w.boots[b.ID]
	w.in(w.accidents.between(0, 6*time.Minute), func() { w.steal(boot, "10.66.6.7") })
	if m := w.machineOf(s); m != nil { // replayed later, under the machine's own address
		w.in(w.accidents.between(5*time.Minute, 40*time.Minute), func() { w.steal(boot, m.source) })
	}
}

// steal asks for a config; with it come its capabilities.
func (w *World) steal(b osBoot, source string) {
	p := w.anyProcess()
	if p == nil || w.calm {
		return
	}
	s := p.config(b, source)
	if s == nil {
		return
	}
	w.count(configsStolen)
	if w.accidents.chance(0.1) { // it lies as only the holder of the config can: level 1 cannot tell
		w.check.forged(s)
		w.log(b.server, "a stranger tells that it is installed: %v", p.signal(s, lifecycle.Signal{Phase: lifecycle.PhaseInstalled, BootID: b.boot}))
	}
}
