package allocate_test

import (
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/allocate"
)

func TestTally(t *testing.T) {
	class := &metal.ServerClass{Spec: metal.ServerClassSpec{Requirements: metal.Requirements{Cores: countRange(16, -1)}}}
	free, big, taken, cordoned, theirs, small, unknown := available("a"), available("b"), available("c"), available("d"), available("e"), available("f"), available("g")
	big.Inventory.Spec.CPUs = []metal.CPU{{Cores: 64}}
	taken.Inventory.Spec.Memory.TotalBytes = 32 << 30
	taken.Server.Spec.Record.Claim = &metal.ClaimRecord{}
	cordoned.Server.Spec.Cordoned = true
	theirs.Server.Spec.Record.ManagedBy.Installation = "there"
	small.Inventory.Spec.CPUs = nil
	unknown.Inventory = nil
	all := []allocate.Candidate{free, big, taken, cordoned, theirs, small, unknown}
	n := allocate.Tally(class, here, all, eval)
	if n.Total != 5 || n.Available != 2 || n.Claimed != 1 || n.Trouble != "" {
		t.Errorf("got %+v", n)
	}
	if cores, memory := n.Capacity[allocate.CapacityCPU], n.Capacity[allocate.CapacityMemory]; cores.String() != "32" || memory.String() != "32Gi" {
		t.Errorf("capacity %v", n.Capacity)
	}
	class.Spec.Requirements.CEL = []string{"broken"}
	if n := allocate.Tally(class, here, all, eval); n.Total != 0 || n.Capacity != nil || n.Trouble != "a: cel[0] of the class cannot be evaluated: it is broken" {
		t.Errorf("got %+v", n)
	}
}
