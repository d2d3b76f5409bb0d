package store_test

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

func server(name string) *metal.Server {
	return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// TestViewTrails: a view shows what was, moves when told, tells one change for many writes, and goes back.
func TestViewTrails(t *testing.T) {
	s := store.New(clock)
	direct, v := s.Client(ingot), s.Cached(store.Told)
	var told []store.Change
	v.OnChange = func(c store.Change) { told = append(told, c) }
	cached := v.Client(ingot)
	o := server("a")
	must(t, direct.Create(t.Context(), o))
	for range 3 {
		o.Spec.Accepted = !o.Spec.Accepted
		must(t, direct.Update(t.Context(), o))
	}
	var seen metal.Server
	if err := cached.Get(t.Context(), client.ObjectKey{Name: "a"}, &seen); !apierrors.IsNotFound(err) {
		t.Fatalf("the view shows what it cannot know: %v", err)
	}
	if v.Behind("Server") != 4 || v.Advance("Server", 2) != 2 {
		t.Fatal("the view does not move by what it was told")
	}
	must(t, cached.Get(t.Context(), client.ObjectKey{Name: "a"}, &seen))
	if !seen.Spec.Accepted || len(told) != 1 || told[0].Before != nil {
		t.Errorf("after two changes: %v, told %d", seen.Spec, len(told))
	}
	if err := cached.Patch(t.Context(), &seen, client.MergeFromWithOptions(seen.DeepCopy(), client.MergeFromWithOptimisticLock{})); !apierrors.IsConflict(err) {
		t.Errorf("a write by a stale reader: %v", err)
	}
	v.AdvanceAll()
	if len(told) != 2 || v.Rewind("Server", 1) != 1 {
		t.Fatalf("told %d", len(told))
	}
	must(t, cached.Get(t.Context(), client.ObjectKey{Name: "a"}, &seen))
	if seen.Spec.Accepted {
		t.Error("the view did not go back")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
