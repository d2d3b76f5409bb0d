package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// TestViewWasOnceTrue: however a view is moved, for each kind it shows exactly what the store had at one time, its index agrees with its list, and
// in the end it is as the store.
func TestViewWasOnceTrue(t *testing.T) {
	for seed := range uint64(30) {
		dice := rand.New(rand.NewPCG(seed, 0))
		s := store.New(clock)
		c, v := s.Client(ingot), s.Cached(store.Told)
		must(t, v.IndexField(t.Context(), &metal.Server{}, "class", byClass))
		history := []string{fmt.Sprint(shown(t, c))}
		for range 200 {
			change(t, c, dice)
			history = append(history, fmt.Sprint(shown(t, c)))
			if dice.IntN(3) == 0 {
				v.Advance("Server", dice.IntN(6))
			}
			if dice.IntN(10) == 0 {
				v.Rewind("Server", dice.IntN(20))
			}
			view := shown(t, v.Client(ingot))
			if !slices.Contains(history, fmt.Sprint(view)) {
				t.Fatalf("seed %d: the store never had %v", seed, view)
			}
			indexAgrees(t, v.Client(ingot), view)
		}
		v.AdvanceAll()
		if got, want := fmt.Sprint(shown(t, v.Client(ingot))), fmt.Sprint(shown(t, c)); got != want || v.Behind("Server") != 0 {
			t.Fatalf("seed %d: %s after all, want %s", seed, got, want)
		}
	}
}

func byClass(o client.Object) []string { return []string{o.GetLabels()["class"]} }

// shown is names with versions and classes.
func shown(t *testing.T, c client.Reader) []string {
	t.Helper()
	var l metal.ServerList
	must(t, c.List(t.Context(), &l, client.UnsafeDisableDeepCopy))
	var all []string
	for _, o := range l.Items {
		all = append(all, o.Name+"@"+o.ResourceVersion+"="+o.Labels["class"])
	}
	return all
}

func indexAgrees(t *testing.T, c client.Reader, view []string) {
	t.Helper()
	var l metal.ServerList
	must(t, c.List(t.Context(), &l, client.MatchingFields{"class": "x"}))
	want := slices.DeleteFunc(slices.Clone(view), func(s string) bool { return !strings.HasSuffix(s, "=x") })
	if len(l.Items) != len(want) {
		t.Fatalf("the index finds %d, there are %v", len(l.Items), want)
	}
	for i, o := range l.Items {
		if !strings.HasPrefix(want[i], o.Name+"@") {
			t.Fatalf("the index finds %s, there is %s", o.Name, want[i])
		}
	}
}

func change(t *testing.T, c client.Client, dice *rand.Rand) {
	t.Helper()
	o := server(fmt.Sprint("s", dice.IntN(5)))
	err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o)
	switch {
	case apierrors.IsNotFound(err):
		err = c.Create(t.Context(), o)
	case dice.IntN(4) == 0:
		err = c.Delete(t.Context(), o)
	default:
		o.Labels = map[string]string{"class": []string{"x", "y"}[dice.IntN(2)]}
		err = c.Update(t.Context(), o)
	}
	must(t, err)
}

// TestSharedLists: a list of everything is the same one until the view learns something; what one reader appends, or filters out of his copy, no other
// sees; and as long as Seen is the same, so is the list.
func TestSharedLists(t *testing.T) {
	s := store.New(clock)
	c, v := s.Client(ingot), s.Cached(store.Told)
	bySeen := map[int]string{}
	dice := rand.New(rand.NewPCG(2, 0))
	for range 300 {
		change(t, c, dice)
		switch dice.IntN(3) {
		case 0:
			v.Advance("Server", dice.IntN(4))
		case 1:
			v.Rewind("Server", dice.IntN(4))
		}
		var one, two metal.ServerList
		must(t, v.Client(ingot).List(t.Context(), &one, client.UnsafeDisableDeepCopy))
		one.Items = append(one.Items, *server("mine"))
		must(t, v.Client(ingot).List(t.Context(), &two, client.UnsafeDisableDeepCopy))
		if len(one.Items) > 1 && &one.Items[0] == &two.Items[0] || len(two.Items) != len(one.Items)-1 {
			t.Fatal("what one reader appended is in the list of another")
		}
		now := fmt.Sprint(shown(t, v.Client(ingot)))
		if before, ok := bySeen[v.Seen("Server")]; ok && before != now {
			t.Fatalf("after %d changes it showed %s, and shows %s", v.Seen("Server"), before, now)
		}
		bySeen[v.Seen("Server")] = now
	}
	var deep, shared metal.ServerList
	must(t, v.Client(ingot).List(t.Context(), &shared, client.UnsafeDisableDeepCopy))
	must(t, v.Client(ingot).List(t.Context(), &deep))
	deep.Items[0].Labels = map[string]string{"class": "mine"}
	if shared.Items[0].Labels["class"] == "mine" || v.Seen("Nothing") != 0 {
		t.Error("control: a copy is not a copy")
	}
}

// TestLagBounds: a view with a bound is never further behind, and one without an index for a field says so.
func TestLagBounds(t *testing.T) {
	s := store.New(clock)
	c := s.Client(ingot)
	told := 0
	v := s.Cached(func(string) int { return 3 })
	v.OnChange = func(store.Change) { told++ }
	dice := rand.New(rand.NewPCG(1, 0))
	for range 50 {
		change(t, c, dice)
		if v.Behind("Server") > 3 {
			t.Fatalf("%d behind", v.Behind("Server"))
		}
	}
	if told == 0 || v.Behind("Server") == 0 {
		t.Errorf("control: told %d, %d behind", told, v.Behind("Server"))
	}
	s.Drop(v)
	behind := v.Behind("Server")
	change(t, c, dice)
	if v.Advance("Server", 0); v.Behind("Server") < behind {
		t.Error("a view that was dropped moved")
	}
	var l metal.ServerList
	if err := v.Client(ingot).List(t.Context(), &l, client.MatchingFields{"metadata.name": "s1"}); err == nil {
		t.Error("a cache has no index that nobody asked for")
	}
}

// TestRestore: after a restore the store has what it had, its versions go on, and a reader from before cannot write.
func TestRestore(t *testing.T) {
	s := store.New(clock)
	c := s.Client(ingot)
	kept, changed, gone := server("kept"), server("changed"), server("gone")
	must(t, c.Create(t.Context(), kept))
	must(t, c.Create(t.Context(), changed))
	must(t, c.Create(t.Context(), gone))
	backup := s.Snapshot()
	uid := changed.UID
	changed.Spec.Accepted = true
	must(t, c.Update(t.Context(), changed))
	must(t, c.Delete(t.Context(), gone))
	must(t, c.Create(t.Context(), server("new")))
	before := s.Version()
	s.Restore(backup)
	if got := store.Peek[metal.Server](s, "", "changed"); got.Spec.Accepted || got.UID != uid {
		t.Errorf("restored %+v", got.Spec)
	}
	if store.Peek[metal.Server](s, "", "new") != nil || store.Peek[metal.Server](s, "", "gone") == nil || len(store.All[metal.Server](s)) != 3 {
		t.Error("the store has not what it had")
	}
	if s.Version() != before+3 || store.Peek[metal.Server](s, "", "kept").ResourceVersion != kept.ResourceVersion {
		t.Errorf("version %d after %d", s.Version(), before)
	}
	if err := c.Update(t.Context(), changed); !apierrors.IsConflict(err) {
		t.Errorf("a write of a reader from before: %v", err)
	}
}
