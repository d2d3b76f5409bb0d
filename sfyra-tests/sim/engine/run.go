package engine

import (
	"time"

	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// Limits of a run.
const (
	defaultChaos = 60 * time.Minute
	// patience is how long servers may take to come to rest after the calm began: three boots in an hour may have failed before.
	patience = 10 * time.Hour
	// busy is how many reconciles for each server are more than any story needs.
	busy = 20_000
)

// Run makes one run. The same seed and configuration give the same result, trace included.
func Run(seed uint64, cfg Config) Result {
	if cfg.Chaos == 0 {
		cfg.Chaos = defaultChaos
	}
	if cfg.Progress == nil {
		cfg.Progress = func(time.Duration) {}
	}
	w := newWorld(seed, cfg)
	servers := cfg.Servers
	if servers == 0 {
		servers = 2 + newStream(seed, "servers").upTo(7)
	}
	w.log("", "seed %d: %d servers, %s", seed, servers, w.kinds)
	if err := w.build(servers); err != nil {
		w.check.fail("setup", "%v", err)
	}
	for _, m := range w.machines {
		w.operator.begin(m)
		w.mishaps(m)
	}
	w.operator.beginClaims()
	w.unrest()
	w.forge()
	w.until(cfg.Chaos)
	w.heal()
	w.converge()
	return Result{
		Seed: seed, Config: cfg, Servers: servers, Kinds: w.kinds, Violation: w.violation, Counts: w.counts,
		Steps: w.steps, Writes: w.writes, Gestures: w.operator.n, Virtual: w.now, Trace: w.trace,
	}
}

// until runs events up to a moment, or to the first violation.
func (w *World) until(end time.Duration) {
	for w.violation == nil {
		at, ok := w.peek()
		if !ok || at > end {
			break
		}
		run, _ := w.next()
		w.cfg.Progress(at)
		run()
		if w.steps > busy*len(w.machines) {
			w.check.fail("L2", "%d reconciles of %d servers: something goes round in circles", w.steps, len(w.machines))
		}
	}
	if w.violation == nil {
		w.now = max(w.now, end)
	}
}

// heal ends all faults and gestures.
func (w *World) heal() {
	if w.violation != nil {
		return
	}
	w.calm = true
	w.log("", "calm")
	for _, m := range w.machines {
		m.hangs, m.deaf, m.feed = false, false, true
		m.bmc.mode = honest
		w.operator.goOn(m)
		for _, a := range w.watchersOf(m) {
			if a.impostor {
				a.die()
			}
		}
	}
	for _, p := range w.processes {
		p.skew, p.lagging, p.leads = 0, false, p == w.processes[0]
		if p.alive {
			p.view.AdvanceAll()
			p.view.Lag = store.Fresh
		}
		if p.alive && p.leads {
			p.wakeAll()
		}
	}
}
