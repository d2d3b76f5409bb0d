package claim_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
)

const move = "clusterctl.cluster.x-k8s.io/delete-for-move"

// delete asks for the claim's end and reconciles it.
func (w *world) delete(c *metal.ServerClaim) {
	w.t.Helper()
	ok(w.t, w.admin.Delete(w.t.Context(), c))
	w.settle(c)
}

// TestNeverBound: a claim that waits goes at once.
func TestNeverBound(t *testing.T) {
	w := newWorld(t)
	c := w.claim("m1")
	w.settle(c)
	w.says(c, reasons.Bound, no, reasons.NoMatchingServer)
	if w.delete(c); w.read(c) {
		t.Errorf("it is still there: %+v", c)
	}
}

// TestEnd: a bound claim stays until its server's record does not hold the binding any more; it never says so itself.
func TestEnd(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	c := w.claim("m1")
	w.settle(c)
	s := w.bound(c)
	w.delete(c)
	w.says(c, reasons.Ready, no, reasons.Releasing)
	w.condition(s, reasons.Released, no, reasons.FencingUnconfirmed)
	w.settle(c)
	w.says(c, reasons.Ready, no, reasons.FencingUnconfirmed)
	w.says(c, reasons.Bound, yes, reasons.BindingSeen)
	s = w.bound(c)
	if s.Spec.Record.Release != nil {
		t.Error("the claim reconciler recorded a release")
	}
	w.record(s, func(r *metal.ServerRecord) { r.Claim = nil })
	w.settle(c)
	if w.read(c) {
		t.Errorf("it is still there: %+v", c)
	}
	if w.read(s); s.Annotations[claim.LockAnnotation] != "" {
		t.Errorf("the server is still locked: %v", s.Annotations)
	}
}

// TestEndCrash: the process dies before or after each write of the end.
func TestEndCrash(t *testing.T) {
	for _, late := range []bool{false, true} {
		for at := range 2 {
			w := newWorld(t)
			w.server("a")
			c := w.claim("m1")
			w.settle(c)
			s := w.bound(c)
			w.record(s, func(r *metal.ServerRecord) { r.Claim = nil })
			w.writes, w.dieAt, w.dieLate = 0, at, late
			w.delete(c)
			if w.writes <= at {
				t.Errorf("control: %d writes, and none of them was number %d", w.writes, at)
			}
			if w.read(s); w.read(c) || s.Annotations[claim.LockAnnotation] != "" {
				t.Errorf("claim %+v, server's annotations %v", c, s.Annotations)
			}
		}
	}
}

// TestEndOtherwise: each row changes something about a bound pair; the claim goes or stays, and what happens to the lock.
func TestEndOtherwise(t *testing.T) {
	for name, c := range map[string]struct {
		change         func(*world, *metal.ServerClaim, *metal.Server)
		gone, unlocked bool
	}{
		"nothing": {func(*world, *metal.ServerClaim, *metal.Server) {}, false, false},
		"it is moved away": {func(w *world, c *metal.ServerClaim, _ *metal.Server) {
			ok(w.t, w.admin.Patch(w.t.Context(), c, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+move+`":""}}}`))))
		}, true, false},
		"the server is bound anew": {func(w *world, _ *metal.ServerClaim, s *metal.Server) {
			w.record(s, func(r *metal.ServerRecord) { r.Claim.Name, r.Claim.BindingID = "m2", "new" })
		}, true, true},
		"the server is another's of its name": {func(w *world, _ *metal.ServerClaim, s *metal.Server) {
			w.record(s, func(r *metal.ServerRecord) { r.Claim.BindingID = "new" })
		}, true, false},
		"the server is locked by somebody else": {func(w *world, _ *metal.ServerClaim, s *metal.Server) {
			w.record(s, func(r *metal.ServerRecord) { r.Claim = nil })
			ok(w.t, w.admin.Patch(w.t.Context(), s, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+claim.LockAnnotation+`":"mine"}}}`))))
		}, true, false},
		"the server does not exist": {func(w *world, _ *metal.ServerClaim, s *metal.Server) {
			ok(w.t, w.admin.Patch(w.t.Context(), s, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":null}}`))))
			ok(w.t, w.admin.Delete(w.t.Context(), s))
		}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.server("a")
			m := w.claim("m1")
			w.settle(m)
			s := w.bound(m)
			c.change(w, m, s)
			w.delete(m)
			if gone := !w.read(m); gone != c.gone {
				t.Errorf("gone: %v, %+v", gone, m.Status)
			}
			there := w.read(s)
			if unlocked := !there || s.Annotations[claim.LockAnnotation] == ""; unlocked != c.unlocked {
				t.Errorf("unlocked: %v, %v", unlocked, s.Annotations)
			}
		})
	}
}

// TestHalfBound: a claim that is deleted between the two writes takes the server's side back; one that was used stays for a person.
func TestHalfBound(t *testing.T) {
	for _, used := range []bool{false, true} {
		w := newWorld(t)
		s, c := w.server("a"), w.claim("m1")
		w.dieAt = 2
		_, err := w.reconciler().Reconcile(t.Context(), request(c))
		if err == nil || len(w.holders(c)) != 1 {
			t.Fatalf("control: %v", err)
		}
		if used {
			at := metav1.NewTime(w.now)
			w.record(s, func(r *metal.ServerRecord) { r.Claim.BoundAt = &at })
		}
		w.dieAt = -1
		w.delete(c)
		if there := w.read(c); there != used {
			t.Errorf("used: %v, there: %v", used, there)
		}
		if used {
			w.says(c, reasons.Ready, no, reasons.BindingIncomplete)
		}
		w.read(s)
		if free := s.Spec.Record.Claim == nil && s.Annotations[claim.LockAnnotation] == ""; free == used {
			t.Errorf("used: %v, free: %v", used, free)
		}
	}
}

// TestGone: a claim whose finalizer was taken off by force leaves the lock until its server is free.
func TestGone(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	c := w.claim("m1")
	w.settle(c)
	s := w.bound(c)
	ok(t, w.ingot.Patch(t.Context(), c, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	w.delete(c)
	if w.read(s); s.Annotations[claim.LockAnnotation] == "" {
		t.Error("a server that a workload has is unlocked")
	}
	w.record(s, func(r *metal.ServerRecord) { r.Claim = nil })
	w.settle(c)
	if w.read(s); s.Annotations[claim.LockAnnotation] != "" {
		t.Error("a server that is free is locked")
	}
}
