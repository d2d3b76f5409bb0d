package firmware

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// entry is one of the paths of the tests, active.
func entry(t interface{ Fatal(...any) }, number uint16, name string) Entry {
	nodes, err := ParsePath(paths[name])
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Number: number, Active: true, Description: name, Nodes: nodes}
}

func TestMend(t *testing.T) {
	all := map[uint16]string{0: "ubuntu", 1: "pxe", 2: "shell", 3: "http", 4: "long form", 5: "disk itself", 6: "stick"}
	var entries []Entry
	for n := range uint16(len(all)) {
		entries = append(entries, entry(t, n, all[n]))
	}
	some := func(numbers ...uint16) []Entry {
		var out []Entry
		for _, n := range numbers {
			out = append(out, entries[n])
		}
		return out
	}
	asleep := entries[1]
	asleep.Active = false
	tests := []struct {
		name    string
		entries []Entry
		order   []uint16
		want    []uint16
		removed []uint16
	}{
		{"disks first, as an installer leaves it", entries, []uint16{0, 4, 1, 3, 5, 2, 6}, []uint16{1, 3, 5, 2, 6}, []uint16{0, 4}},
		{"in order already", some(1, 3, 2), []uint16{1, 3, 2}, []uint16{1, 3, 2}, nil},
		{"the network stands behind", some(1, 2, 5), []uint16{2, 5, 1}, []uint16{1, 2, 5}, nil},
		{"stale ones outside of the order", some(1, 0), []uint16{1}, []uint16{1}, []uint16{0}},
		{"the network fell out of the order", some(0, 3, 1, 2), []uint16{0, 2}, []uint16{1, 3, 2}, []uint16{0}},
		{"one network entry is in the order, the other was left out on purpose", some(3, 1), []uint16{3}, []uint16{3}, nil},
		{"a network entry that was switched off stays out", []Entry{asleep, entries[2]}, []uint16{2}, []uint16{2}, nil},
		{"a number without an entry", some(1), []uint16{9, 1}, []uint16{1, 9}, nil},
		{"doubles", some(1, 2), []uint16{2, 1, 2, 1}, []uint16{1, 2}, nil},
		{"nothing but disks", some(0, 4), []uint16{4, 0}, nil, []uint16{0, 4}},
		{"nothing", nil, nil, nil, nil},
	}
	for _, tc := range tests {
		c := Mend(tc.entries, tc.order)
		var removed []uint16
		for _, e := range c.Remove {
			removed = append(removed, e.Number)
		}
		if !slices.Equal(c.Order, tc.want) || !slices.Equal(removed, tc.removed) {
			t.Errorf("%s: order %v, removed %v; want %v and %v", tc.name, c.Order, removed, tc.want, tc.removed)
		}
	}
}

// TestMendSettles: it removes stale entries alone, loses no other, puts the network first, and a second time changes nothing.
func TestMendSettles(t *testing.T) {
	var names []string
	for name := range paths {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		var entries []Entry
		for i, name := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 12).Draw(t, "entries") {
			entries = append(entries, entry(t, uint16(i), name))
		}
		order := rapid.SliceOfN(rapid.Uint16Range(0, 13), 0, 14).Draw(t, "order")
		c := Mend(entries, order)
		var left []Entry
		for _, e := range entries {
			gone := slices.ContainsFunc(c.Remove, func(r Entry) bool { return r.Number == e.Number })
			if gone != e.stale() {
				t.Fatalf("%s is gone: %t", e.Description, gone)
			}
			if gone && slices.Contains(c.Order, e.Number) || !gone && slices.Contains(order, e.Number) && !slices.Contains(c.Order, e.Number) {
				t.Fatalf("%s and the order %v", e.Description, c.Order)
			}
			if !gone {
				left = append(left, e)
			}
		}
		again := Mend(left, c.Order)
		if len(again.Remove) != 0 || !slices.Equal(again.Order, c.Order) {
			t.Fatalf("a second time: %v instead of %v", again.Order, c.Order)
		}
		isNetwork := func(n uint16) bool { return int(n) < len(entries) && entries[n].network() }
		if i := slices.IndexFunc(c.Order, func(n uint16) bool { return !isNetwork(n) }); i >= 0 && slices.ContainsFunc(c.Order[i:], isNetwork) {
			t.Fatalf("the network is not first in %v", c.Order)
		}
	})
}
