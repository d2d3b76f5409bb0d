package store

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// collector is who the journal names for the garbage collector's deletes.
var collector = Identity{Name: "garbage-collector"}

// CollectGarbage deletes, in the background's way, every object whose owners are all gone, until there is none, and returns how many it deleted or
// marked. An owner that was made anew under its name has another UID and counts as gone. What the lock or a fault keeps, stays for the next time.
func (s *Store) CollectGarbage() int {
	total := 0
	for {
		n := 0
		for _, k := range s.kinds {
			for _, key := range s.orphans(k) {
				op := Op{Who: collector.Name, Verb: Collect, Kind: k.gvk.Kind, Key: key}
				if s.Fault != nil && s.Fault(op).refuse(k, op) != nil {
					continue
				}
				if s.remove(collector, Collect, k, key, nil) == nil {
					n++
				}
			}
		}
		if total += n; n == 0 {
			return total
		}
	}
}

// orphans are the objects that have owners and none that exists.
func (s *Store) orphans(k *kind) []types.NamespacedName {
	var keys []types.NamespacedName
	for _, x := range k.objects.sorted {
		m := metaOf(x.object)
		if len(m.OwnerReferences) > 0 && m.DeletionTimestamp == nil && !s.owned(m) {
			keys = append(keys, client.ObjectKeyFromObject(x.object))
		}
	}
	return keys
}

// owned is whether one of the owners exists.
func (s *Store) owned(m *metav1.ObjectMeta) bool {
	for _, r := range m.OwnerReferences {
		k := s.named(r.Kind)
		if gv, err := schema.ParseGroupVersion(r.APIVersion); k == nil || err != nil || gv.Group != k.gvk.Group {
			return true // not ours to judge
		}
		key := types.NamespacedName{Name: r.Name}
		if k.namespaced {
			key.Namespace = m.Namespace
		}
		if o := k.objects.get(key); o != nil && o.GetUID() == r.UID {
			return true
		}
	}
	return false
}
