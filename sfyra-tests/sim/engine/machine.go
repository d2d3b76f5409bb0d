package engine

import (
	"fmt"
	"time"
)

// runs is what a machine does.
type runs string

const (
	nothing  runs = "nothing" // off
	firmware runs = "firmware"
	script   runs = "script" // waits in the boot script
	agentOS  runs = "agent"
	installs runs = "the installer"
	localOS  runs = "local system"
	stuck    runs = "stuck" // no boot device, or a hang
)

// machine is one computer with its power button, its firmware and its disks.
type machine struct {
	w      *World
	n      int
	name   string // of the Server that declares it
	mac    string
	serial string
	source string // its address on the boot segment
	disks  []*disk
	bmc    *bmcModel
	// bmcAddress is what the BMC says of itself to its machine.
	bmcAddress string

	on    bool
	feed  bool // the socket has power
	runs  runs
	boots int // counts restarts: whatever was planned for an earlier one is void
	agent *agent
	// network is true when the firmware tries the network first; once makes it so for the next boot.
	network, once bool
	// stuckUntil and deaf are faults: the firmware hangs, or ignores the network.
	hangs, deaf bool
	// hung says that this start hangs; only a person, or who needs the machine, ends that.
	hung bool
	// lost is when the machine went off or its BMC went wrong without anybody's order, for the last time.
	lost time.Duration
	// workload is the content of the disk whose system runs; 0 when none does.
	workload int
	// system is the claim's workload that runs or is being installed; nil when none is.
	system *system
}

// do plans f for as long as the machine is in its present boot.
func (m *machine) do(after time.Duration, f func()) {
	boot := m.boots
	m.w.in(after, func() {
		if m.boots == boot && m.on {
			f()
		}
	})
}

// switchOn starts the firmware.
func (m *machine) switchOn(why string) {
	if m.on || !m.feed {
		return
	}
	m.on = true
	m.w.log(m.name, "machine on (%s)", why)
	m.start()
}

// switchOff ends whatever runs.
func (m *machine) switchOff(why string) {
	if !m.on {
		return
	}
	m.w.log(m.name, "machine off (%s), it ran %s", why, m.runs)
	m.stop()
	m.on, m.runs = false, nothing
}

// press asks the system that runs to switch the machine off. Firmware and hung machines do not hear it, and a busy system takes longer than anybody waits.
func (m *machine) press(o order) {
	if m.runs != agentOS && m.runs != localOS {
		return
	}
	m.w.check.switchedOff(m, o)
	if m.w.kinds.Has(DeafSystems) && m.runs == localOS {
		m.w.count(buttonsIgnored)
		return
	}
	m.do(m.w.hardware.between(2*time.Second, 4*time.Minute), func() { m.switchOff("its system obeys " + o.ID) })
}

// restart is a warm reset.
func (m *machine) restart(why string) {
	if !m.on {
		return
	}
	m.w.log(m.name, "machine restarts (%s), it ran %s", why, m.runs)
	m.stop()
	m.start()
}

func (m *machine) stop() {
	m.boots++
	m.w.check.stops(m)
	if m.agent != nil {
		m.agent.die()
	}
	m.agent, m.workload, m.system = nil, 0, nil
}

// start runs the firmware's self-test and then boots.
func (m *machine) start() {
	m.runs = firmware
	m.hung = m.hangs
	if m.hangs {
		m.runs = stuck
		m.w.count(firmwareHung)
		return
	}
	m.do(m.w.hardware.between(10*time.Second, 2*time.Minute), m.boot)
}

// boot follows the boot order once.
func (m *machine) boot() {
	network := (m.network || m.once) && !m.deaf
	m.once = false
	if network {
		m.ask()
		return
	}
	m.bootDisk()
}

// bootDisk starts the first system on the machine's disks. Firmware without one tries the network again and again.
func (m *machine) bootDisk() {
	for _, d := range m.disks {
		if d.content.boots {
			m.runs, m.workload = localOS, d.content.id
			m.w.log(m.name, "boots the system of content %d on %s", d.content.id, d.serial)
			m.runSystem(d.content.system)
			if m.w.enabled(Reboot) && m.w.accidents.chance(0.3) {
				m.do(m.w.accidents.between(time.Minute, time.Hour), func() { m.w.count(machineRestarted); m.restart("by itself") })
			}
			return
		}
	}
	m.runs = stuck
	if m.network {
		m.do(2*time.Minute, m.boot)
	}
}

// ask gets a script from the boot side.
func (m *machine) ask() {
	d := m.w.net.script(m.identity(), m.source)
	m.w.log(m.name, "asks for its script: %s %s (%s)", d.Target, d.BootID, d.Reason)
	switch d.Target {
	case "Agent":
		m.runs = firmware
		id := d.BootID
		if id == "" {
			id = m.w.ids.id(12)
		}
		m.do(m.w.hardware.between(5*time.Second, 40*time.Second), func() { m.startAgent(id) })
	case "OS":
		m.startOS(d.BootID)
	case "Idle":
		m.runs = script
		m.do(m.w.hardware.between(10*time.Second, 20*time.Second), m.ask)
	default:
		m.bootDisk()
	}
}

func (m *machine) startAgent(bootID string) {
	m.runs = agentOS
	m.agent = m.w.newAgent(m, bootID, false)
	m.agent.begin()
	if m.w.enabled(AgentCrash) && m.w.accidents.chance(0.3) {
		m.do(m.w.accidents.between(time.Second, 8*time.Minute), func() { m.w.count(agentCrashed); m.restart("the agent crashed") })
	}
}

// String names the machine in messages.
func (m *machine) String() string { return fmt.Sprintf("machine %d (%s)", m.n, m.name) }

// accident says that the machine lost its power, or its BMC told untruths, since a receipt came in.
func (m *machine) accident(received time.Duration) bool {
	return m.bmc.mode != honest || m.lost > received-time.Minute
}
