package engine_test

import (
	"slices"
	"testing"

	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// TestSameSeedSameTrace: a failing seed must replay, so every line of two runs is the same.
func TestSameSeedSameTrace(t *testing.T) {
	for _, seed := range []uint64{1, 7, 62, 139, 608} {
		a, b := engine.Run(seed, engine.Config{Trace: true}), engine.Run(seed, engine.Config{Trace: true})
		if len(a.Trace) < 50 || !slices.Equal(a.Trace, b.Trace) {
			t.Errorf("seed %d: %d and %d lines, which differ", seed, len(a.Trace), len(b.Trace))
		}
		if quiet := engine.Run(seed, engine.Config{}); quiet.Counts != a.Counts || quiet.Writes != a.Writes {
			t.Errorf("seed %d: keeping the trace changes the run", seed)
		}
	}
	if a, b := engine.Run(1, engine.Config{Trace: true}), engine.Run(2, engine.Config{Trace: true}); slices.Equal(a.Trace, b.Trace) {
		t.Error("control: two seeds make the same run")
	}
}

// TestCalmServers: without any fault, every server that a person accepts with its disks becomes Available.
func TestCalmServers(t *testing.T) {
	available := 0
	for seed := uint64(1); seed <= 10; seed++ {
		r := engine.Run(seed, engine.Config{Disable: engine.All})
		if r.Violation != nil {
			t.Fatalf("seed %d: %v", seed, r.Violation)
		}
		r.Counts.Each(func(name string, n int) {
			if name == "servers Available at the end" {
				available += n
			}
		})
	}
	if available < 25 {
		t.Errorf("%d servers became Available in 10 quiet runs", available)
	}
}

// TestShrink: a failure is told with fewer servers, kinds and lines than it was found with, and breaks the same rule.
func TestShrink(t *testing.T) {
	b := wreckage[slices.IndexFunc(wreckage, func(b broken) bool { return b.invariant == "I3" })]
	var found engine.Result
	for seed := uint64(1); found.Violation == nil; seed++ {
		found = engine.Run(seed, engine.Config{Sabotage: &b.sabotage, Trace: true})
		if seed == 50 {
			t.Fatal("control: nothing is broken")
		}
	}
	small := engine.Shrink(found)
	if small.Violation == nil || small.Violation.Invariant != found.Violation.Invariant {
		t.Fatalf("shrunk to %v", small.Violation)
	}
	if small.Servers > found.Servers || small.Kinds.Len() >= found.Kinds.Len() || len(small.Trace) >= len(found.Trace) {
		t.Errorf("from %d servers, %d kinds, %d lines to %d, %d, %d", found.Servers, found.Kinds.Len(), len(found.Trace), small.Servers, small.Kinds.Len(), len(small.Trace))
	}
}

// TestParseSet: names of kinds, as flags give them.
func TestParseSet(t *testing.T) {
	if s, err := engine.ParseSet("crash,restore"); err != nil || s != engine.SetOf(engine.Crash, engine.Restores) {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := engine.ParseSet(""); err != nil || s != 0 {
		t.Errorf("empty: %v, %v", s, err)
	}
	if s, err := engine.ParseSet("crash,earthquake"); err == nil {
		t.Errorf("earthquake is %v", s)
	}
	for k := range engine.Kinds {
		if s, err := engine.ParseSet(k.String()); err != nil || s != engine.SetOf(k) {
			t.Errorf("%v: %v, %v", k, s, err)
		}
	}
}
