package engine

import "time"

// Shrink looks for a smaller run that breaks the same rule: fewer kinds, servers and gestures, and less time. The result has its trace.
func Shrink(r Result) Result {
	best := r
	for again := true; again; {
		again = shrinkKinds(&best)
		again = shrinkServers(&best) || again
		again = shrinkTime(&best) || again
	}
	shrinkGestures(&best)
	cfg := best.Config
	cfg.Trace = true
	return Run(best.Seed, cfg)
}

// try makes a run, and keeps it if it breaks the same rule.
func try(best *Result, cfg Config) bool {
	r := Run(best.Seed, cfg)
	if r.Violation == nil || r.Violation.Invariant != best.Violation.Invariant {
		return false
	}
	*best = r
	return true
}

func shrinkKinds(best *Result) (smaller bool) {
	for k := range Kinds {
		if best.Kinds.Has(k) {
			cfg := best.Config
			cfg.Disable |= 1 << k
			smaller = try(best, cfg) || smaller
		}
	}
	return smaller
}

func shrinkServers(best *Result) (smaller bool) {
	for n := 1; n < best.Servers; n++ {
		cfg := best.Config
		cfg.Servers = n
		if try(best, cfg) {
			return true
		}
	}
	return false
}

// shrinkTime begins the calm earlier. Random moments are drawn within the time of chaos, so the story changes with it.
func shrinkTime(best *Result) (smaller bool) {
	for _, part := range []time.Duration{4, 2} {
		cfg := best.Config
		if cfg.Chaos /= part; cfg.Chaos > 10*time.Minute && try(best, cfg) {
			return true
		}
	}
	return false
}

// shrinkGestures leaves out one gesture after the other.
func shrinkGestures(best *Result) {
	for n := best.Gestures; n > 0; n-- {
		if best.Config.SkipGestures[n] {
			continue
		}
		cfg := best.Config
		cfg.SkipGestures = map[int]bool{n: true}
		for k := range best.Config.SkipGestures {
			cfg.SkipGestures[k] = true
		}
		try(best, cfg)
	}
}
