package engine

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// fault decides what happens to a call of a replica.
func (w *World) fault(op store.Op) store.Outcome {
	p := w.replica(op.Who)
	if p == nil || w.calm {
		return store.None
	}
	writes := op.Verb == store.Create || op.Verb == store.Update || op.Verb == store.Patch || op.Verb == store.Delete
	if !op.Cached {
		w.preempt(p)
	}
	if writes {
		p.maybeDie("before writing " + op.Kind + " " + op.Key.Name)
	}
	switch {
	case writes && w.enabled(Conflicts) && w.accidents.chance(0.15):
		w.count(conflictsMade)
		return store.Conflict
	case !op.Cached && w.enabled(ServerErrors) && w.accidents.chance(0.08):
		w.count(errorsMade)
		return store.InternalError
	case writes && w.enabled(Timeouts) && w.accidents.chance(0.05):
		w.count(timeoutsMade)
		return store.TimeoutAfter
	}
	return store.None
}

func (w *World) replica(name string) *process {
	for _, p := range w.processes {
		if p.name == name {
			return p
		}
	}
	return nil
}

// preempt lets another leader make a step in the middle of one: what a goroutine elsewhere does between two calls.
func (w *World) preempt(p *process) {
	if w.depth > 0 || !w.enabled(TwoLeaders) || !w.accidents.chance(0.03) {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	for _, other := range w.processes {
		if other == p || !other.alive || !other.leads {
			continue
		}
		if name := w.anyName(); name != "" && other.installation == here {
			_ = other.call(func() error { other.reconcile(name); return nil })
		}
	}
}

// anyName is a Server or a claim.
func (w *World) anyName() string {
	if claims := store.All[metal.ServerClaim](w.store); len(claims) > 0 && w.accidents.chance(0.3) {
		c := claims[w.accidents.upTo(len(claims))]
		return c.Namespace + "/" + c.Name
	}
	if s := w.operator.server(w.machines[w.accidents.upTo(len(w.machines))]); s != nil {
		return s.Name
	}
	return ""
}

// unrest plans what goes wrong with the controllers until the calm.
func (w *World) unrest() {
	if w.kinds.Has(TwoLeaders) {
		w.during(w.twoLeaders)
		w.during(w.twoLeaders)
	}
	if w.kinds.Has(ClockJumps) {
		w.during(w.jump)
		w.during(w.jump)
	}
	if w.kinds.Has(Crash) {
		for range 3 {
			w.during(func() { p := w.processes[w.crashes.upTo(2)]; w.count(replicasCrashed); p.die("killed") })
		}
	}
	if w.kinds.Has(Restores) {
		w.during(w.operator.keepBackup)
		w.during(func() { w.operator.gesture(w.operator.restore) })
	}
	if w.kinds.Has(Impostor) {
		for _, m := range w.machines {
			w.during(func() { w.impostor(m) })
		}
	}
}

// twoLeaders lets the second replica believe that it leads, for a minute or so.
func (w *World) twoLeaders() {
	p := w.processes[1]
	p.leads = true
	p.seen.Watch()
	w.count(leadersTwice)
	w.log(p.name, "leads too")
	p.wakeAll()
	w.in(w.accidents.between(10*time.Second, 3*time.Minute), func() { p.leads = false; p.die("lost its lease") })
}

// jump sets the clock of a replica wrong, mostly for a while.
func (w *World) jump() {
	p := w.processes[w.accidents.upTo(2)]
	p.skew = w.accidents.between(-24*time.Hour, 24*time.Hour)
	w.check.disturbed = w.now
	w.count(clocksJumped)
	w.log(p.name, "the clock jumps by %s", p.skew)
	w.in(w.accidents.between(time.Second, 30*time.Minute), func() { p.skew = 0; w.check.disturbed = w.now; w.log(p.name, "the clock is right again") })
}
