package engine

import (
	"errors"
	"strconv"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// task names one hand-out.
type task struct {
	id         string
	generation int64
}

// agent is one process of our program, or a stranger that talks like one.
type agent struct {
	w *World
	// m is the machine that it runs on; a stranger's victim otherwise.
	m        *machine
	impostor bool
	n        int
	caller   lifecycle.Caller
	server   string
	dead     bool
	refusals int  // in a row
	plans    int  // counts planned looks at the task
	hurried  bool // a look is planned for a change
	replica  *process
	life     int // of the replica when the agent connected
	leave    func()
	ran      map[task]bool
	typing   bool          // commands to the BMC are on their way
	enrolled time.Duration // when it was let in last
	shows    metal.ServerInventorySpec
	readAt   time.Duration
}

// newAgent starts a process with a key of its own.
func (w *World) newAgent(m *machine, bootID string, impostor bool) *agent {
	w.agents++
	a := &agent{
		w: w, m: m, impostor: impostor, n: w.agents, leave: func() {}, ran: map[task]bool{}, shows: m.inventory(), readAt: w.now,
		caller: lifecycle.Caller{BootID: bootID, Key: "key-" + strconv.Itoa(w.agents)},
	}
	return a
}

// do plans f for as long as the agent lives.
func (a *agent) do(after time.Duration, f func()) {
	a.w.in(after, func() {
		if !a.dead {
			f()
		}
	})
}

func (a *agent) die() {
	a.dead = true
	a.leave()
	a.w.unwatch(a)
}

func (a *agent) begin() { a.do(a.w.hardware.between(time.Second, 6*time.Second), a.enrol) }

// retry is how long an agent waits after trouble.
func (a *agent) retry() time.Duration { return a.w.hardware.between(5*time.Second, 30*time.Second) }

// enrol finds out which Server this machine is, and claims the boot.
func (a *agent) enrol() {
	a.disconnect()
	p := a.w.anyProcess()
	if p == nil {
		a.do(a.retry(), a.enrol)
		return
	}
	name, level, err := p.enrol(a)
	a.w.log(a.m.name, "%s enrols with boot %s: %s level %d %s", a, a.caller.BootID, name, level, text(err))
	if err != nil {
		if errors.Is(err, desk.ErrVoided) {
			a.w.count(claimsVoided)
		}
		a.refusals++
		a.do(a.retry()*time.Duration(min(a.refusals, 20)), a.enrol)
		return
	}
	a.server, a.refusals, a.enrolled = name, 0, a.w.now
	a.w.check.enrols(a)
	a.connect(p)
	a.report()
}

func (a *agent) connect(p *process) {
	a.replica, a.life = p, p.life
	a.leave = p.seen.Connected(a.server, a.caller.BootID)
	p.drain()
	a.w.watch(a)
}

func (a *agent) disconnect() {
	a.leave()
	a.leave, a.replica = func() {}, nil
	a.w.unwatch(a)
}

// connected is the replica that the agent talks to; nil after that one died.
func (a *agent) connected() *process {
	if a.replica == nil || !a.replica.alive || a.replica.life != a.life {
		return nil
	}
	return a.replica
}

// report sends the inventory that was read at the start.
func (a *agent) report() {
	p := a.connected()
	if p == nil {
		a.do(a.retry(), a.enrol)
		return
	}
	err := p.inventory(a)
	a.w.log(a.m.name, "%s reports its inventory to %s %s", a, a.server, text(err))
	switch {
	case refused(err):
		a.do(a.retry(), a.enrol)
	case err != nil:
		a.do(a.retry(), a.report)
	default:
		a.look()
	}
}

// lookAgain reads the hardware after a wipe, and reports once: what gets lost stays as it was told before. A stranger goes on telling its tale.
func (a *agent) lookAgain() {
	p := a.connected()
	if a.impostor || p == nil || a.w.enabled(LostReceipts) && a.w.accidents.chance(0.2) {
		return
	}
	a.shows = a.m.inventory()
	a.w.log(a.m.name, "%s reports its disks after a wipe to %s %s", a, a.server, text(p.inventory(a)))
}

// wake plans the next look at the task; the latest plan holds.
func (a *agent) wake(after time.Duration) {
	a.plans++
	plan := a.plans
	a.do(after, func() {
		if a.plans == plan {
			a.hurried = false
			a.look()
		}
	})
}

// hurry looks at the task soon: something of the Server changed.
func (a *agent) hurry() {
	if !a.hurried {
		a.hurried = true
		a.wake(a.w.hardware.between(20*time.Millisecond, 500*time.Millisecond))
	}
}

// look asks for the task and does it.
func (a *agent) look() {
	p := a.connected()
	if p != nil && a.impostor {
		a.meddle(p)
	}
	if p == nil {
		a.do(a.retry(), a.enrol)
		return
	}
	t, err := p.task(a)
	if refused(err) || err == nil && t.Kind == lifecycle.TaskDenied {
		a.w.log(a.m.name, "%s is denied by %s %s", a, a.server, text(err))
		a.w.count(agentsDenied)
		a.disconnect()
		a.do(a.retry(), a.enrol)
		return
	}
	if err != nil {
		a.wake(a.retry())
		return
	}
	a.obey(t)
}

func (a *agent) obey(t lifecycle.Task) {
	switch t.Kind {
	case lifecycle.TaskWipe:
		a.wipe(t.Grant)
		a.wake(time.Minute)
	case lifecycle.TaskPowerOff:
		a.w.log(a.m.name, "%s is told to switch off", a)
		a.w.check.toldOff(a)
		if !a.impostor {
			a.do(a.w.hardware.between(time.Second, 5*time.Second), func() { a.m.switchOff("the agent obeys") })
		}
	case lifecycle.TaskRestart:
		a.acknowledge(t.BootID)
	case lifecycle.TaskLeave:
		a.w.log(a.m.name, "%s leaves (%s)", a, t.Reason)
		if !a.impostor {
			a.do(time.Second, func() { a.m.restart("the agent leaves") })
		}
	case lifecycle.TaskAccount:
		a.account(t.Account)
	case lifecycle.TaskWait, lifecycle.TaskDenied:
		after := time.Minute
		if t.After > 0 {
			after = t.After
		}
		a.wake(after)
	}
}

// refused says that trying again with the same certificate is useless.
func refused(err error) bool {
	return errors.Is(err, desk.ErrGone) || errors.Is(err, desk.ErrForeign) || errors.Is(err, desk.ErrNotBelieved) ||
		errors.Is(err, desk.ErrNotExpected) || errors.Is(err, desk.ErrVoided)
}

// String names the agent in traces.
func (a *agent) String() string {
	if a.impostor {
		return "impostor " + strconv.Itoa(a.n)
	}
	return "agent " + strconv.Itoa(a.n)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}
