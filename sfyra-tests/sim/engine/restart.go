package engine

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// acknowledge says that the machine restarts for a boot, and restarts it once that was answered. A stranger says so too, and then comes as the new boot's agent.
func (a *agent) acknowledge(bootID string) {
	p := a.connected()
	if p == nil {
		a.do(a.retry(), a.enrol)
		return
	}
	err := p.acknowledge(a, bootID)
	a.w.log(a.m.name, "%s acknowledges that it restarts for boot %s %s", a, bootID, text(err))
	lost := a.w.enabled(LostReceipts) && a.w.accidents.chance(0.3)
	switch {
	case err != nil || lost:
		a.wake(a.retry())
	case a.impostor:
		b := a.w.newAgent(a.m, bootID, true)
		a.w.disguise(b)
		b.begin()
		a.w.in(20*time.Minute, b.die)
		a.do(time.Second, a.die)
	default:
		a.do(time.Second, func() { a.m.fromNetwork("the agent obeys") })
	}
}

// meddle is a stranger who says that the machine restarts, which nobody told it.
func (a *agent) meddle(p *process) {
	b := recordOf(a.w.operator.server(a.m)).Boot
	if b == nil || b.Phase != metal.BootRestarting {
		return
	}
	err := p.acknowledge(a, b.ID)
	a.w.log(a.m.name, "%s acknowledges the boot %s of somebody else %s", a, b.ID, text(err))
	a.w.count(restartsForged)
}

// fromNetwork starts the machine again, from the network this once.
func (m *machine) fromNetwork(why string) {
	m.once = true
	if m.on {
		m.restart(why)
		return
	}
	m.switchOn(why)
}

// acknowledge hands an agent's word to the desk.
func (p *process) acknowledge(a *agent, bootID string) error {
	p.w.check.acknowledging = a
	defer func() { p.w.check.acknowledging = nil }()
	return p.call(func() error { return p.desk.Acknowledge(background(), a.caller, a.server, bootID) })
}

// enrols notes who was let in.
func (c *oracle) enrols(a *agent) {
	if a.impostor {
		c.strangers[a.server] = c.w.now
	}
}

// windowOpens checks that a boot of a server without a BMC begins by the word of the agent that waited, and of nobody else, and once (I15).
func (c *oracle) windowOpens(s *metal.Server, old, r *metal.ServerRecord) {
	b := r.Boot
	if b.RestartedBy == "" || old.Boot != nil && old.Boot.ID == b.ID && old.Boot.RestartedBy == b.RestartedBy {
		return
	}
	c.w.count(restartsAcknowledged)
	by := c.acknowledging
	switch {
	case old.Boot == nil || old.Boot.ID != b.ID || old.Boot.Phase != metal.BootRestarting || b.Phase != metal.BootBooting:
		c.fail("I15", "the boot %s of %s is acknowledged, and no restart was ordered for it", b.ID, s.Name)
	case by == nil || by.caller.Key != b.RestartedBy || by.server != s.Name:
		c.fail("I15", "the boot %s of %s is acknowledged by %s, who did not say so", b.ID, s.Name, b.RestartedBy)
	case old.Agent == nil || old.Agent.Key != by.caller.Key || old.Agent.BootID != by.caller.BootID:
		c.fail("I15", "the boot %s of %s is acknowledged by %s, who was not the agent that waited", b.ID, s.Name, by)
	case c.windows[b.ID] != 0:
		c.fail("I15", "the boot %s of %s is acknowledged twice", b.ID, s.Name)
	}
	c.windows[b.ID] = c.w.now + 1
}

// offers checks that nobody gets the script of a boot before its restart was acknowledged (I15).
func (c *oracle) offers(s *metal.Server, bootID string) {
	if b := recordOf(s).Boot; b != nil && b.ID == bootID && b.Phase == metal.BootRestarting {
		c.fail("I15", "the script of the boot %s of %s is handed out, and nobody acknowledged that", bootID, s.Name)
	}
}

// takenIn says that a stranger's receipt was believed of a server without a BMC, where nothing proves on which machine an agent runs. The machine's own agent
// must not have come in that boot: then the two contradict each other (I7).
func (c *oracle) takenIn(s *metal.Server, by *agent) bool {
	b := recordOf(s).Boot
	if b == nil || b.RestartedBy == "" {
		return false
	}
	if own := by.m.agent; own != nil && !own.dead && own.server == s.Name && own.enrolled >= c.windows[b.ID] {
		return false
	}
	return true
}

// press is a person who does what a server without a BMC waits for, and says whether it did something.
func (o *operator) press(m *machine, s *metal.Server) bool {
	if s.Spec.BMC != nil || m.runs == agentOS || !o.waits(s, reasons.AwaitingPower, reasons.FencingUnconfirmed) {
		return false
	}
	o.w.count(buttonsPressed)
	o.word(m)
	m.fromNetwork("a person restarts it from the network")
	return true
}

// goOn lets people press buttons after the calm as well: nobody else can.
func (o *operator) goOn(m *machine) {
	o.w.in(o.w.people.between(10*time.Minute, 20*time.Minute), func() {
		if s := o.server(m); s != nil {
			o.press(m, s)
		}
		o.goOn(m)
	})
}

// unpressed says that a server without a BMC waits for a person who did what it asks for.
func (w *World) unpressed(s *metal.Server) string {
	m := w.machineOf(s)
	waits := ready(s) == reasons.AwaitingPower || ready(s) == reasons.FencingUnconfirmed
	switch {
	case s.Spec.BMC != nil || !waits || m == nil || pausedServer(s) || w.twins(m) > 1:
		return ""
	case ready(s) == reasons.AwaitingPower && recordOf(s).Installed != nil: // no agent is let in, and a person has to look
		return ""
	case m.runs == agentOS:
		return "its agent is there, and is to be heard"
	case recordOf(s).Unverified == nil:
		return "a person restarts it"
	}
	return ""
}
