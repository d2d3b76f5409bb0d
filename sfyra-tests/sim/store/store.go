package store

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Verb is what was asked of the store.
type Verb string

const (
	Get    Verb = "Get"
	List   Verb = "List"
	Create Verb = "Create"
	Update Verb = "Update"
	Patch  Verb = "Patch"
	Delete Verb = "Delete"
	// Collect is the garbage collector's delete.
	Collect Verb = "Collect"
	// Restore is a change by Store.Restore.
	Restore Verb = "Restore"
)

// Write is one change of one object, as the journal has it.
type Write struct {
	At   time.Time
	Who  string
	Verb Verb
	// Status is whether it was by way of the status subresource.
	Status bool
	Kind   string
	Key    types.NamespacedName
	// Before and After are nil where there is no object.
	Before, After client.Object
	// Version is the store's resourceVersion of this change.
	Version int64
}

// Identity is on whose behalf a client acts.
type Identity struct {
	// Name is for the journal and for faults.
	Name string
	// Ingot is whether admission takes it for Ingot's controllers.
	Ingot bool
	// Mover is whether it may move servers, as clusterctl does for an administrator.
	Mover bool
}

// Store holds objects. Its exported fields may be set at any time.
type Store struct {
	// Fault decides what happens to a call of any client; nil lets all through. CollectGarbage asks as well.
	Fault func(Op) Outcome
	// OnWrite is told of every change, after it is complete. It may panic to simulate a crash after a recorded effect.
	OnWrite func(*Write)

	now     func() time.Time
	broken  error // why there are no kinds: the embedded manifests cannot be read
	version int64
	uids    int64
	kinds   []*kind
	byType  map[reflect.Type]*kind
	journal []*Write
	views   []*View
}

// kind is a kind with its objects.
type kind struct {
	*traits
	number  int // its place in Store.kinds
	objects table
	log     []*Write
}

// New makes an empty store for Server, ServerInventory, ServerClass, ServerClaim, Environment, Secret and ConfigMap. now is the virtual clock.
func New(now func() time.Time) *Store {
	traits, err := known()
	s := &Store{now: now, broken: err, byType: map[reflect.Type]*kind{}}
	for i, t := range traits {
		k := &kind{traits: t, number: i, objects: newTable()}
		s.kinds = append(s.kinds, k)
		s.byType[reflect.TypeOf(t.blank())] = k
	}
	return s
}

// Journal is every change so far, the oldest first.
func (s *Store) Journal() []*Write { return s.journal }

// Version is the latest resourceVersion.
func (s *Store) Version() int64 { return s.version }

// Peek is an object as it is stored, without a copy, or nil. Faults do not apply.
func Peek[T any](s *Store, namespace, name string) *T {
	k := s.byType[reflect.TypeFor[*T]()]
	if k == nil {
		return nil
	}
	o, _ := any(k.objects.get(types.NamespacedName{Namespace: namespace, Name: name})).(*T)
	return o
}

// All are the objects of one kind as they are stored, without copies, sorted by namespace and name. Faults do not apply.
func All[T any](s *Store) []*T {
	k := s.byType[reflect.TypeFor[*T]()]
	if k == nil {
		return nil
	}
	all := make([]*T, 0, len(k.objects.sorted))
	for _, x := range k.objects.sorted {
		if o, ok := any(x.object).(*T); ok {
			all = append(all, o)
		}
	}
	return all
}

func (s *Store) kindOf(o client.Object) (*kind, error) {
	if k, ok := s.byType[reflect.TypeOf(o)]; ok {
		return k, nil
	}
	return nil, errors.Join(fmt.Errorf("finding the kind of %T: the store has no such kind", o), s.broken)
}

// commit makes one change. after, if any, becomes the store's own.
func (s *Store) commit(k *kind, w Write) {
	s.version++
	w.At, w.Kind, w.Version = s.now(), k.gvk.Kind, s.version
	if w.After != nil {
		metaOf(w.After).ResourceVersion = strconv.FormatInt(s.version, 10)
		k.objects.set(w.Key, w.After)
	} else {
		k.objects.remove(w.Key)
	}
	s.journal, k.log = append(s.journal, &w), append(k.log, &w)
	for _, v := range s.views {
		v.follow(k)
	}
	if s.OnWrite != nil {
		s.OnWrite(&w)
	}
}

// uid is the next UID.
func (s *Store) uid() types.UID {
	s.uids++
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012x", s.uids))
}
