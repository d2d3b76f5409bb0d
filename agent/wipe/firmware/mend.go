package firmware

import (
	"slices"
)

// Change is what must be written.
type Change struct {
	// Remove are entries to remove, in the order of their numbers.
	Remove []Entry
	// Order is the boot order to be.
	Order []uint16
}

// Mend decides which entries go and in which order the others stand: network entries first, then the rest, each as they stood.
// Numbers of the order whose entry is missing or could not be read stay where the rest is. If no network entry is in the
// order, active ones that exist outside of it are put in.
func Mend(entries []Entry, order []uint16) Change {
	var c Change
	known := map[uint16]Entry{}
	for _, e := range entries {
		if e.stale() {
			c.Remove = append(c.Remove, e)
		}
		known[e.Number] = e
	}
	slices.SortFunc(c.Remove, func(a, b Entry) int { return int(a.Number) - int(b.Number) })
	var network, rest []uint16
	for _, n := range order {
		switch e := known[n]; {
		case slices.Contains(network, n), slices.Contains(rest, n), e.stale():
		case e.network():
			network = append(network, n)
		default:
			rest = append(rest, n)
		}
	}
	if len(network) == 0 {
		network = outside(entries, order)
	}
	c.Order = slices.Concat(network, rest)
	return c
}

// outside are active network entries that the order does not name.
func outside(entries []Entry, order []uint16) []uint16 {
	var out []uint16
	for _, e := range entries {
		if e.network() && e.Active && !slices.Contains(order, e.Number) {
			out = append(out, e.Number)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
