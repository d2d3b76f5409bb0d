package allocate

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Keys of a class's capacity.
const (
	CapacityCPU    = "cpu"
	CapacityMemory = "memory"
)

// Numbers are what there is of a class.
type Numbers struct {
	// Total servers that fit; Available ones can be taken by this installation now; Claimed ones are taken.
	Total, Available, Claimed int32
	// Capacity that each of them has at least: cores and bytes of memory. Nil without a server.
	Capacity map[string]resource.Quantity
	// Architectures of them, sorted.
	Architectures []string
	// Trouble with evaluating an expression for a server, the first by name; empty when there is none.
	Trouble string
}

// Tally counts the servers of a class.
func Tally(class *metal.ServerClass, installation string, candidates []Candidate, eval Eval) (n Numbers) {
	var cores, memory []int64
	architectures := map[string]struct{}{}
	trouble := ""
	for _, c := range candidates {
		found := Fit(class, c.Server, c.Inventory, eval)
		if i := slices.IndexFunc(found, func(r Reason) bool { return r.Reason == reasons.InvalidClass }); i >= 0 && (trouble == "" || c.Server.Name < trouble) {
			trouble, n.Trouble = c.Server.Name, c.Server.Name+": "+found[i].Message
		}
		if len(found) > 0 {
			continue
		}
		n.Total++
		if arch := c.Inventory.Spec.Arch; arch != "" {
			architectures[arch] = struct{}{}
		}
		cores, memory = append(cores, int64(Cores(&c.Inventory.Spec))), append(memory, max(c.Inventory.Spec.Memory.TotalBytes, 0))
		switch {
		case claimOf(c.Server) != nil:
			n.Claimed++
		case foreign(c.Server, installation) == nil && unavailable(c.Server) == "":
			n.Available++
		}
	}
	n.Architectures = slices.Sorted(maps.Keys(architectures))
	if n.Total > 0 {
		n.Capacity = map[string]resource.Quantity{CapacityCPU: *resource.NewQuantity(slices.Min(cores), resource.DecimalSI), CapacityMemory: *resource.NewQuantity(slices.Min(memory), resource.BinarySI)}
	}
	return n
}
