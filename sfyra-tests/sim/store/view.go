package store

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Lag says how many changes of a kind a view may miss at most; negative is any number. It is asked after each write.
type Lag func(kind string) int

// Fresh views miss nothing; Told views move only by Advance.
func Fresh(string) int { return 0 }

// Told views move only by Advance.
func Told(string) int { return -1 }

// Change is what a view learned of one object: many writes may have become one.
type Change struct {
	Kind string
	Key  types.NamespacedName
	// Before and After are shared; nil is no object.
	Before, After client.Object
}

// View is an informer's cache: each kind trails the store on its own, so kinds may be out of step with each other.
type View struct {
	// OnChange is told of what the view learned, one call for each object and step; it is where reconciles are enqueued. nil tells nobody.
	OnChange func(Change)
	// Lag may be changed at any time; nil is Told.
	Lag Lag

	store *Store
	lanes []lane
}

// lane is a view of one kind.
type lane struct {
	objects table
	seen    int // how many entries of the kind's log it has applied
	whole   any // the items of a list of everything, which is handed out until something changes; nil before it is asked for
	indexes map[string]*index
}

// Cached makes a view that has seen everything so far.
func (s *Store) Cached(lag Lag) *View {
	v := &View{store: s, Lag: lag}
	for _, k := range s.kinds {
		v.lanes = append(v.lanes, lane{objects: k.objects.copy(), seen: len(k.log)})
	}
	s.views = append(s.views, v)
	return v
}

// Drop ends a view: it no longer moves by itself.
func (s *Store) Drop(v *View) {
	s.views = slices.DeleteFunc(s.views, func(x *View) bool { return x == v })
}

// Client reads from the view and writes to the store, as a manager's client does.
func (v *View) Client(who Identity) *Client { return &Client{store: v.store, who: who, view: v} }

// Behind is how many changes of a kind the view has not seen.
func (v *View) Behind(kind string) int {
	if k := v.store.named(kind); k != nil {
		return len(k.log) - v.lanes[k.number].seen
	}
	return 0
}

// Advance applies up to n changes of a kind as one step and returns how many there were. Several changes of one object become one.
func (v *View) Advance(kind string, n int) int {
	k := v.store.named(kind)
	if k == nil {
		return 0
	}
	l := &v.lanes[k.number]
	n = min(n, len(k.log)-l.seen)
	var changes []Change
	at := map[types.NamespacedName]int{}
	for _, w := range k.log[l.seen : l.seen+n] {
		if i, ok := at[w.Key]; ok {
			changes[i].After = w.After
			continue
		}
		at[w.Key] = len(changes)
		changes = append(changes, Change{w.Kind, w.Key, l.objects.get(w.Key), w.After})
	}
	l.seen += n
	v.learn(l, changes)
	return n
}

// Seen is how many changes of a kind the view has seen since the store was made: as long as it is the same, so is all that the view shows of the kind.
func (v *View) Seen(kind string) int {
	if k := v.store.named(kind); k != nil {
		return v.lanes[k.number].seen
	}
	return 0
}

// AdvanceAll applies all changes of all kinds, kind by kind.
func (v *View) AdvanceAll() {
	for _, k := range v.store.kinds {
		v.Advance(k.gvk.Kind, len(k.log))
	}
}

// Rewind takes a kind back by up to n changes, as a restart does whose first list comes from an API server that is behind. OnChange is not told:
// a controller that starts is told of every object anyway. It returns how many changes were taken back.
func (v *View) Rewind(kind string, n int) int {
	k := v.store.named(kind)
	if k == nil {
		return 0
	}
	l := &v.lanes[k.number]
	n = min(n, l.seen)
	for range n {
		l.seen--
		w := k.log[l.seen]
		l.put(w.Key, w.Before)
	}
	return n
}

// learn applies changes and then tells of them.
func (v *View) learn(l *lane, changes []Change) {
	for _, c := range changes {
		l.put(c.Key, c.After)
	}
	if v.OnChange == nil {
		return
	}
	for _, c := range changes {
		if c.Before != c.After {
			v.OnChange(c)
		}
	}
}

// follow keeps the lag of one kind within its bound.
func (v *View) follow(k *kind) {
	if v.Lag == nil {
		return
	}
	if most := v.Lag(k.gvk.Kind); most >= 0 {
		if behind := len(k.log) - v.lanes[k.number].seen; behind > most {
			v.Advance(k.gvk.Kind, behind-most)
		}
	}
}

func (s *Store) named(kind string) *kind {
	for _, k := range s.kinds {
		if k.gvk.Kind == kind {
			return k
		}
	}
	return nil
}

// list is the cache's list.
func (v *View) list(k *kind, list client.ObjectList, o *client.ListOptions) error {
	if o.Continue != "" {
		return errors.New("continue list option is not supported by the cache")
	}
	l := &v.lanes[k.number]
	shared := o.UnsafeDisableDeepCopy != nil && *o.UnsafeDisableDeepCopy
	everything := shared && empty(o) && o.Namespace == "" && o.Limit == 0
	if everything && l.whole != nil {
		k.setItems(list, l.whole)
		list.SetContinue("continue-not-supported")
		return nil
	}
	sorted := l.objects.sorted
	if o.FieldSelector != nil {
		var err error
		if sorted, err = l.byIndex(o.FieldSelector); err != nil {
			return fmt.Errorf("listing %s: %w", k.gvk.Kind, err)
		}
	}
	plain := *o
	plain.FieldSelector = nil
	chosen, err := choose(sorted, &plain, nil)
	if err != nil {
		return err
	}
	if o.Limit > 0 && int64(len(chosen)) > o.Limit {
		chosen = chosen[:o.Limit]
	}
	k.fill(list, chosen, !shared)
	if everything {
		l.whole = k.items(list)
	}
	list.SetContinue("continue-not-supported")
	return nil
}
