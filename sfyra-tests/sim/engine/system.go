package engine

import (
	"slices"
	"time"

	"ingot.dev/ingot/metal-controller/lifecycle"
)

// osBoot is what the kernel line of an operating system's boot carries: where its machine config is, and the capability for it.
type osBoot struct{ server, binding, boot, token string }

// system is what a machine config makes: the workload of one binding, from one boot.
type system struct {
	osBoot
	// signal is the capability inside the config.
	signal string
	every  time.Duration
	// proven says that its word of being installed was taken; told is when that of running was, last.
	proven bool
	told   time.Duration
}

// Tempo of an operating system.
const (
	fetchTries   = 30
	installTries = 12
	runningTries = 10
)

// startOS starts the installer of a boot.
func (m *machine) startOS(bootID string) {
	b, ok := m.w.boots[bootID]
	if !ok { // a view without the boot's id: it asks again
		m.runs = script
		m.do(m.w.hardware.between(10*time.Second, 20*time.Second), m.ask)
		return
	}
	m.runs = installs
	m.do(m.w.hardware.between(5*time.Second, 40*time.Second), func() { m.fetch(b, fetchTries) })
}

// fetch gets the machine config, again and again.
func (m *machine) fetch(b osBoot, tries int) {
	if tries == 0 {
		m.restart("it gets no machine config")
		return
	}
	p := m.w.anyProcess()
	var s *system
	if p != nil {
		s = p.config(b, m.source)
	}
	switch {
	case s == nil:
		m.do(m.w.hardware.between(10*time.Second, time.Minute), func() { m.fetch(b, tries-1) })
	case m.w.enabled(Truncated) && m.w.accidents.chance(0.4):
		m.w.count(configsTruncated)
		m.do(m.w.hardware.between(time.Second, 20*time.Second), func() { m.fetch(b, tries-1) })
	default:
		m.system = s
		m.do(m.w.hardware.between(20*time.Second, 5*time.Minute), func() { m.install(s) })
	}
}

// install writes the system to the machine's own disks: the first one boots.
func (m *machine) install(s *system) {
	own := m.own()
	if len(own) == 0 {
		m.restart("there is no disk to install to")
		return
	}
	for n, d := range own {
		if n > 0 && m.w.hardware.chance(0.5) {
			continue
		}
		m.w.check.overwrites(m, d, s)
		m.w.write(d, n == 0, "the workload of "+s.binding)
		d.content.system = s
		m.w.log(m.name, "installs content %d of binding %.6s on %s", d.content.id, s.binding, d.serial)
	}
	if m.w.enabled(Reboot) && m.w.accidents.chance(0.2) {
		m.w.count(machineRestarted)
		m.restart("by itself, before it told that it is installed")
		return
	}
	m.tellInstalled(s, installTries)
}

// tellInstalled tells until it is taken, or it is useless to go on.
func (m *machine) tellInstalled(s *system, tries int) {
	if m.signal(s, lifecycle.Signal{Phase: lifecycle.PhaseInstalled, BootID: s.boot}) {
		s.proven = true
		m.w.count(installsProven)
		m.w.log(m.name, "tells that binding %.6s is installed", s.binding)
		m.restart("installed")
		return
	}
	if tries > 1 {
		m.do(m.w.hardware.between(5*time.Second, 20*time.Second), func() { m.tellInstalled(s, tries-1) })
		return
	}
	m.restart("nobody takes its word of being installed")
}

// runSystem begins what an installed system does after each start: tell that it runs.
func (m *machine) runSystem(s *system) {
	m.system = s
	if s == nil {
		return
	}
	m.do(m.w.hardware.between(20*time.Second, 90*time.Second), func() { m.tellRunning(s, runningTries) })
}

// tellRunning tells now and then for as long as the system runs.
func (m *machine) tellRunning(s *system, tries int) {
	switch taken := m.signal(s, lifecycle.Signal{Phase: lifecycle.PhaseRunning, EverySeconds: int32(s.every / time.Second)}); {
	case taken:
		s.told = m.w.now
		m.do(s.every, func() { m.tellRunning(s, runningTries) })
	case tries > 1:
		m.do(m.w.hardware.between(time.Second, 5*time.Second), func() { m.tellRunning(s, tries-1) })
	default:
		m.do(s.every, func() { m.tellRunning(s, runningTries) })
	}
}

// signal says whether the word was taken.
func (m *machine) signal(s *system, g lifecycle.Signal) bool {
	if m.w.enabled(LostReceipts) && m.w.accidents.chance(0.2) {
		m.w.count(signalsLost)
		return false
	}
	p := m.w.anyProcess()
	return p != nil && p.signal(s, g)
}

// loseDisks takes away the disks of a system that runs; blank ones take their places, and the machine starts again. It says whether one ran.
func (m *machine) loseDisks() bool {
	if m.system == nil || m.runs != localOS || m.w.now-m.system.told > m.system.every {
		return false
	}
	for _, d := range m.own() {
		if d.content.system == nil {
			continue
		}
		m.disks = slices.DeleteFunc(m.disks, func(o *disk) bool { return o == d })
		n := m.w.newDisk(m, d.transport)
		m.w.log(m.name, "loses its disk %s; %s takes its place", d.serial, n.serial)
	}
	m.w.count(disksDied)
	m.restart("its disks are gone")
	return true
}
