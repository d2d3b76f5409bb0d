package store

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Snapshot is what a backup has: all objects at one time. It costs no copies.
type Snapshot struct {
	version int64
	objects []map[types.NamespacedName]client.Object
}

// Version is the resourceVersion that it was taken at.
func (b *Snapshot) Version() int64 { return b.version }

// Snapshot takes a backup.
func (s *Store) Snapshot() *Snapshot {
	b := &Snapshot{version: s.version}
	for _, k := range s.kinds {
		objects := make(map[types.NamespacedName]client.Object, len(k.objects.sorted))
		for _, x := range k.objects.sorted {
			objects[x.key] = x.object
		}
		b.objects = append(b.objects, objects)
	}
	return b
}

// Restore makes the store what it was at the backup, as the restore of an etcd snapshot does: no admission, no finalizers, same UIDs. Each object that
// differs becomes a Write with the verb Restore and a new resourceVersion: versions never go back, so a reader from before the restore cannot write.
func (s *Store) Restore(b *Snapshot) {
	for i, k := range s.kinds {
		for _, x := range slices.Clone(k.objects.sorted) {
			if b.objects[i][x.key] == nil {
				s.commit(k, Write{Verb: Restore, Key: x.key, Before: x.object})
			}
		}
		for _, key := range sortedKeys(b.objects[i]) {
			was, now := b.objects[i][key], k.objects.get(key)
			if was == now {
				continue
			}
			next := k.blank()
			k.share(was, next)
			s.commit(k, Write{Verb: Restore, Key: key, Before: now, After: next})
		}
	}
}

func sortedKeys(m map[types.NamespacedName]client.Object) []types.NamespacedName {
	keys := make([]types.NamespacedName, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b types.NamespacedName) int { return compareKey(&slot{key: a}, b) })
	return keys
}
