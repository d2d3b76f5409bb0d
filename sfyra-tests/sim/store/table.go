package store

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// slot is the place of one object.
type slot struct {
	key    types.NamespacedName
	object client.Object
}

// table holds the objects of one kind in the order of etcd's keys.
type table struct {
	slots  map[types.NamespacedName]*slot
	sorted []*slot
}

func newTable() table { return table{slots: map[types.NamespacedName]*slot{}} }

func (t *table) get(key types.NamespacedName) client.Object {
	if x := t.slots[key]; x != nil {
		return x.object
	}
	return nil
}

func (t *table) set(key types.NamespacedName, o client.Object) {
	if x := t.slots[key]; x != nil {
		x.object = o
		return
	}
	x := &slot{key, o}
	t.slots[key] = x
	i, _ := slices.BinarySearchFunc(t.sorted, key, compareKey)
	t.sorted = slices.Insert(t.sorted, i, x)
}

func (t *table) remove(key types.NamespacedName) {
	if _, ok := t.slots[key]; !ok {
		return
	}
	delete(t.slots, key)
	if i, ok := slices.BinarySearchFunc(t.sorted, key, compareKey); ok {
		t.sorted = slices.Delete(t.sorted, i, i+1)
	}
}

// copy has the same objects and its own places.
func (t *table) copy() table {
	c := table{slots: make(map[types.NamespacedName]*slot, len(t.sorted)), sorted: make([]*slot, len(t.sorted))}
	for i, x := range t.sorted {
		y := *x
		c.sorted[i], c.slots[x.key] = &y, &y
	}
	return c
}

// compareKey orders as etcd does, by "namespace/name".
func compareKey(x *slot, key types.NamespacedName) int {
	if x.key.Namespace == key.Namespace {
		return strings.Compare(x.key.Name, key.Name)
	}
	return strings.Compare(path(x.key), path(key))
}

// put sets or, with nil, removes.
func (t *table) put(key types.NamespacedName, o client.Object) {
	if o == nil {
		t.remove(key)
	} else {
		t.set(key, o)
	}
}

func (x *slot) path() string { return path(x.key) }

// path is what etcd sorts by.
func path(key types.NamespacedName) string {
	if key.Namespace == "" {
		return key.Name
	}
	return key.Namespace + "/" + key.Name
}

func labelsOf(o client.Object) labels.Set { return metaOf(o).Labels }
