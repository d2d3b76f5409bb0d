package engine

import (
	"strings"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
)

// order is an action with who gave it, when.
type order struct {
	lifecycle.Action
	by     *process
	server string
	since  time.Duration
}

// Tempo of the workers: those of the real BMC plane.
const (
	pollInterval  = time.Minute
	settleTimeout = 2 * time.Minute
	actionLife    = 10 * time.Minute
)

// plane is the BMC plane of one replica: a worker for each BMC, with the rules of metal-controller/bmc.
type plane struct {
	p       *process
	workers map[string]*worker
}

// worker talks to one BMC.
type worker struct {
	plane   *plane
	server  string
	bmc     *bmcModel
	login   bmcUser // how it goes in
	gone    bool
	turns   int // counts planned turns: only the latest happens
	busy    bool
	next    *order
	begun   *order
	reading lifecycle.PowerReading
	ended   string // id of the last order that ended, well or not
	lied    bool
	want    metal.PowerState
}

// trialOf is under which name a server's BMC is tried with the account to come, as the reconciler calls it.
func trialOf(name string) string { return name + "/next" }

// Ensure starts the worker of a server's BMC, or tells it how to go in.
func (p *plane) Ensure(name string, target server.BMC) {
	b, login := p.p.w.bmcs[target.Endpoint], bmcUser{target.Username, target.Password.Reveal(), true}
	if b == nil && strings.HasSuffix(name, trialOf("")) { // an address that a stranger made up
		b = p.p.w.nowhere
	}
	old := p.workers[name]
	if old != nil && old.bmc == b && old.login != login {
		old.login = login
		old.nudge(p.p.w.hardware.between(100*time.Millisecond, time.Second))
	}
	if b == nil || old != nil && old.bmc == b {
		return
	}
	k := &worker{plane: p, server: name, bmc: b, login: login}
	if old != nil {
		old.gone = true
	}
	p.workers[name] = k
	k.nudge(p.p.w.hardware.between(100*time.Millisecond, time.Second))
}

// Forget ends the worker.
func (p *plane) Forget(name string) {
	if k := p.workers[name]; k != nil {
		k.gone = true
		delete(p.workers, name)
	}
}

// Submit takes an order in, unless its id is known.
func (p *plane) Submit(name string, a lifecycle.Action) {
	p.p.effect("order "+string(a.Kind)+" for "+name, func() { p.submit(name, a) })
}

func (p *plane) submit(name string, a lifecycle.Action) {
	k := p.workers[name]
	if k == nil {
		return
	}
	if a.Kind == lifecycle.WithdrawPower || a.Kind == lifecycle.ReadPower || a.Kind == lifecycle.EjectMedia {
		k.next = nil
		k.publish()
		k.nudge(p.p.w.hardware.between(50*time.Millisecond, time.Second))
		return
	}
	p.p.w.check.ordered(p.p, name, a)
	if k.begun != nil && k.begun.ID == a.ID || k.next != nil && k.next.ID == a.ID || k.ended == a.ID {
		return
	}
	k.next = &order{Action: a, by: p.p, server: name, since: p.p.w.now}
	p.p.w.ordered(k.bmc.m, a.Kind)
	k.publish()
	k.nudge(p.p.w.hardware.between(50*time.Millisecond, time.Second))
}

// Latest is the last reading.
func (p *plane) Latest(name string) lifecycle.PowerReading {
	if k := p.workers[name]; k != nil {
		return k.reading
	}
	return lifecycle.PowerReading{Reason: reasons.BMCNotAsked}
}

// nudge plans the next turn; a worker in the middle of an order takes it up afterwards.
func (k *worker) nudge(after time.Duration) {
	k.turns++
	turn := k.turns
	k.plane.p.in(after, func() {
		if !k.gone && !k.busy && k.turns == turn {
			k.turn()
		}
	})
}

// turn is one contact: do what is asked, read the power.
func (k *worker) turn() {
	k.expire()
	if k.next != nil && k.bmc.mode != dead {
		k.begun, k.next, k.busy = k.next, nil, true
		k.plane.p.in(k.bmc.latency(), func() { k.perform() })
		return
	}
	k.read()
	k.publish()
	k.nudge(pollInterval)
}

func (k *worker) perform() {
	if k.gone {
		return
	}
	err := errNoLogin
	if k.letIn() {
		err = k.bmc.obey(*k.begun)
	}
	if err != nil {
		if k.next == nil {
			k.next = k.begun
		}
		k.begun, k.busy = nil, false
		k.read()
		k.publish()
		k.nudge(pollInterval)
		return
	}
	k.want = metal.PowerOn
	switch k.begun.Kind {
	case lifecycle.EnsureShutdown: // up to the system: nothing to look for, and no lie
		k.finish(true)
		return
	case lifecycle.EnsurePowerOff:
		k.want = metal.PowerOff
	case lifecycle.NoAction, lifecycle.EnsurePowerOn, lifecycle.EnsurePowerOnFromNetwork, lifecycle.PublishErase, lifecycle.ReadPower, lifecycle.WithdrawPower, lifecycle.EjectMedia, lifecycle.WritePassport, lifecycle.EmptyPassport,
		lifecycle.KeepAccount, lifecycle.CheckAccount, lifecycle.TakeAccount, lifecycle.ForgetAccount:
	}
	k.plane.p.in(time.Second, func() { k.look(k.plane.p.w.now + settleTimeout) })
}

// look reads until the order shows, or the time is over.
func (k *worker) look(end time.Duration) {
	if k.gone {
		return
	}
	k.read()
	switch {
	case k.reading.Reason == reasons.BMCAnswers && k.reading.State == k.want:
		k.finish(true)
	case k.plane.p.w.now >= end:
		k.finish(false)
	default:
		k.plane.p.in(5*time.Second, func() { k.look(end) })
	}
}

func (k *worker) finish(done bool) {
	k.ended, k.lied = k.begun.ID, !done
	if done {
		k.reading.Done = k.begun.ID
	} else {
		k.reading.Done = ""
	}
	k.reading.CommandAt = k.plane.p.clock()
	k.begun, k.busy = nil, false
	k.believe()
	k.publish()
	wait := pollInterval
	if k.next != nil {
		wait = 0
	}
	k.nudge(wait)
}

// expire ends an order that waited too long.
func (k *worker) expire() {
	if k.next != nil && k.plane.p.w.now-k.next.since >= actionLife {
		k.ended, k.next = k.next.ID, nil
		k.reading.Done, k.reading.CommandAt = "", k.plane.p.clock()
		k.plane.p.w.count(ordersExpired)
	}
}

// read asks for the power once.
func (k *worker) read() {
	on, err := k.bmc.read()
	switch {
	case err == nil && !k.letIn():
		k.reading.Reason, k.reading.Message = reasons.BMCUnauthorized, errNoLogin.Error()
		k.plane.p.w.count(loginsRefused)
		return
	case err != nil:
		k.reading.Reason, k.reading.Message = reasons.BMCUnreachable, err.Error()
		return
	}
	k.reading.State, k.reading.At, k.reading.Reason, k.reading.Message = metal.PowerOff, k.plane.p.clock(), reasons.BMCAnswers, ""
	if on {
		k.reading.State = metal.PowerOn
	}
	k.believe()
}

// letIn says that the BMC takes the name and password.
func (k *worker) letIn() bool { return k.bmc.letsIn(k.login.name, k.login.password) }

// believe says that the BMC lied for as long as its readings contradict the last order.
func (k *worker) believe() {
	if k.lied && k.reading.State != k.want && k.reading.Reason == reasons.BMCAnswers {
		k.reading.Reason, k.reading.Message = reasons.BMCLied, "it still reads otherwise"
		k.plane.p.w.count(liesNoticed)
	}
}

// publish wakes the reconciler when something changed.
func (k *worker) publish() {
	k.reading.Pending = ""
	if k.begun != nil {
		k.reading.Pending = k.begun.ID
	}
	if k.next != nil {
		k.reading.Pending = k.next.ID
	}
	k.plane.p.wakeIfNews(k)
}
