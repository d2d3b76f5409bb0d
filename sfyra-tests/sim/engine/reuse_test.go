package engine_test

import (
	"testing"

	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// TestReuseAndRemedies: servers of clusters go from one claim to the next without a wipe, remediations ask for power cycles, and every rule holds. Control: both happened.
func TestReuseAndRemedies(t *testing.T) {
	kinds := engine.SetOf(engine.Claims, engine.Releases, engine.Clusters, engine.PowerRequests)
	seen := map[string]int{}
	for seed := uint64(1); seed <= 60; seed++ {
		r := engine.Run(seed, engine.Config{Enable: kinds, Disable: engine.All &^ kinds, Servers: 3})
		if r.Violation != nil {
			t.Fatalf("seed %d: %v", seed, r.Violation)
		}
		r.Counts.Each(func(name string, n int) { seen[name] += n })
	}
	for _, name := range []string{"servers reused without a wipe", "power cycles begun for a workload"} {
		if seen[name] == 0 {
			t.Errorf("control: no %s", name)
		}
		t.Logf("%d %s", seen[name], name)
	}
}
