package engine

import (
	"time"

	"ingot.dev/ingot/metal-controller/lifecycle"
)

// damage gives a machine the faults of its hardware, and disks that are nobody's own.
func (w *World) damage(m *machine) {
	if w.kinds.Has(ForeignDisks) && w.hardware.chance(0.4) {
		d := w.newDisk(m, []string{"usb", "iscsi", "fc", "unknown", "sata"}[w.hardware.upTo(5)])
		switch {
		case d.transport == "sata" && w.hardware.chance(0.5):
			d.wwid = ""
		case d.transport == "sata":
			d.removable = true
		}
		w.write(d, w.hardware.chance(0.3), "was there")
	}
	for _, d := range m.own() {
		d.lies = w.kinds.Has(LyingDisks) && w.hardware.chance(0.2)
		d.fails = w.kinds.Has(FailingDisks) && w.hardware.chance(0.2)
	}
}

// shareDisks hangs one disk on two machines.
func (w *World) shareDisks() {
	if !w.kinds.Has(SharedDisks) || len(w.machines) < 2 {
		return
	}
	a, b := w.machines[0], w.machines[1]
	d := w.newDisk(a, "sas")
	b.disks = append(b.disks, d)
	d.machines = append(d.machines, b)
	w.write(d, false, "was there")
}

// bmcFaults are the ways in which a BMC misbehaves, by kind.
var bmcFaults = []struct {
	kind Kind
	mode bmcMode
}{{DeadBMC, dead}, {SlowBMC, slow}, {LyingBMC, lying}, {InvertedBMC, inverted}, {StaleBMC, stale}}

// mishaps plans what goes wrong with one machine until the calm.
func (w *World) mishaps(m *machine) {
	for _, f := range bmcFaults {
		if w.kinds.Has(f.kind) && w.accidents.chance(0.5) {
			w.during(func() { w.spoil(m, f.mode, w.accidents.between(time.Minute, 40*time.Minute)) })
		}
	}
	if w.kinds.Has(PowerLoss) {
		w.during(func() { w.losePower(m) })
		w.during(func() { w.losePower(m) })
	}
	if w.kinds.Has(DeadDisks) {
		w.loseDisksOf(m)
	}
	if w.kinds.Has(Hang) && w.accidents.chance(0.5) {
		w.during(func() {
			m.hangs = true
			w.in(w.accidents.between(time.Minute, 40*time.Minute), func() { m.hangs = false })
		})
	}
	if w.kinds.Has(DiskFirst) && w.accidents.chance(0.5) {
		w.during(func() {
			m.deaf = true
			w.in(w.accidents.between(time.Minute, time.Hour), func() { m.deaf = false })
		})
	}
}

// spoil makes a BMC misbehave for a while.
func (w *World) spoil(m *machine, mode bmcMode, while time.Duration) {
	w.log(m.name, "the BMC becomes %s", mode)
	m.bmc.mode, m.bmc.told, m.bmc.toldAt = mode, m.on, w.now
	m.lost = w.now
	w.in(while, func() { m.bmc.mode, m.lost = honest, w.now })
}

// How often a BMC dies of being given an order, so long that the order's life ends. Only the order that fences a released machine waits for so long, and
// people see to most of those before.
const (
	diesOfOrder    = 0.02
	diesOfPowerOff = 0.15
)

// ordered is the mishap of a BMC that dies with an order in its hands.
func (w *World) ordered(m *machine, kind lifecycle.ActionKind) {
	if w.calm || !w.kinds.Has(DeadBMC) {
		return
	}
	likely := diesOfOrder
	if kind == lifecycle.EnsurePowerOff {
		likely = diesOfPowerOff
	}
	if w.accidents.chance(likely) {
		w.spoil(m, dead, w.accidents.between(actionLife, 4*actionLife))
	}
}

// loseDisksOf waits for a system that runs, and takes its disks.
func (w *World) loseDisksOf(m *machine) {
	w.in(w.accidents.between(5*time.Minute, 20*time.Minute), func() {
		if !w.calm && !m.loseDisks() {
			w.loseDisksOf(m)
		}
	})
}

// losePower takes the socket's power away for a moment; most machines come back by themselves.
func (w *World) losePower(m *machine) {
	w.count(powerLost)
	was := m.on
	m.lost = w.now
	m.switchOff("power loss")
	m.feed = false
	w.in(w.accidents.between(time.Second, 3*time.Minute), func() {
		m.feed = true
		if was && w.accidents.chance(0.7) {
			m.switchOn("power is back")
		}
	})
}

// during plans f for some moment before the calm.
func (w *World) during(f func()) {
	w.in(w.accidents.between(0, w.cfg.Chaos), func() {
		if !w.calm {
			f()
		}
	})
}
