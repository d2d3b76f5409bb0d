package store_test

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// TestFaults: each outcome gives its error, and only what let the call through has its effect.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		outcome store.Outcome
		is      func(error) bool
		effect  bool
	}{
		{store.None, func(err error) bool { return err == nil }, true},
		{store.Conflict, apierrors.IsConflict, false},
		{store.TimeoutBefore, apierrors.IsTimeout, false},
		{store.TimeoutAfter, apierrors.IsTimeout, true},
		{store.Unavailable, apierrors.IsServiceUnavailable, false},
		{store.InternalError, apierrors.IsInternalError, false},
	} {
		for _, verb := range []store.Verb{store.Create, store.Update, store.Patch, store.Delete} {
			s := store.New(clock)
			c, o := s.Client(admin), server("a")
			if verb != store.Create {
				must(t, c.Create(t.Context(), o))
			}
			before := s.Version()
			s.Fault = func(op store.Op) store.Outcome {
				if op.Who != "admin" || op.Verb != verb || op.Kind != "Server" || op.Key.Name != "a" || op.Cached {
					t.Errorf("the fault was asked about %+v", op)
				}
				return tc.outcome
			}
			err := write(t.Context(), c, verb, o)
			if verb == store.Create && tc.outcome == store.Conflict {
				must(t, err) // a create cannot conflict
				continue
			}
			if !tc.is(err) || (s.Version() != before) != tc.effect {
				t.Errorf("outcome %d of %s: %v, version %d after %d", tc.outcome, verb, err, s.Version(), before)
			}
			if tc.outcome == store.TimeoutAfter && verb == store.Create && o.UID != "" {
				t.Error("the lost answer reached the caller")
			}
		}
	}
}

func write(ctx context.Context, c client.Client, verb store.Verb, o *metal.Server) error {
	switch verb {
	case store.Create:
		return c.Create(ctx, o)
	case store.Delete:
		return c.Delete(ctx, o)
	case store.Update:
		o.Spec.Accepted = true
		return c.Update(ctx, o)
	case store.Get, store.List, store.Patch, store.Collect, store.Restore:
	}
	before := o.DeepCopy()
	o.Spec.Accepted = true
	return c.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// TestReadsFail: a read fails with the server, a cached one only where the simulator says that even the cache is gone.
func TestReadsFail(t *testing.T) {
	s := store.New(clock)
	direct, cached := s.Client(ingot), s.Cached(store.Fresh).Client(ingot)
	must(t, direct.Create(t.Context(), server("a")))
	for outcome, want := range map[store.Outcome][2]bool{
		store.None: {true, true}, store.Conflict: {true, true}, store.TimeoutBefore: {false, true}, store.TimeoutAfter: {false, true},
		store.InternalError: {false, true}, store.Unavailable: {false, false},
	} {
		s.Fault = func(store.Op) store.Outcome { return outcome }
		for i, c := range []client.Reader{direct, cached} {
			var l metal.ServerList
			err1, err2 := c.Get(t.Context(), client.ObjectKey{Name: "a"}, server("")), c.List(t.Context(), &l)
			if (err1 == nil) != want[i] || (err2 == nil) != want[i] {
				t.Errorf("outcome %d, cached %d: %v, %v", outcome, i, err1, err2)
			}
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := direct.Get(ended, client.ObjectKey{Name: "a"}, server("")); !errors.Is(err, context.Canceled) {
		t.Errorf("a call without time: %v", err)
	}
}

// TestCrashAfterWrite: a crash out of OnWrite leaves the store whole.
func TestCrashAfterWrite(t *testing.T) {
	s := store.New(clock)
	v := s.Cached(store.Fresh)
	s.OnWrite = func(w *store.Write) { panic(w) }
	crash := func() (w any) {
		defer func() { w = recover() }()
		return s.Client(ingot).Create(t.Context(), server("a"))
	}
	w, ok := crash().(*store.Write)
	if !ok || w.Verb != store.Create || w.Who != "ingot" || w.Before != nil || w.After.GetName() != "a" || w.Version != s.Version() {
		t.Fatalf("the crash told %+v", w)
	}
	s.OnWrite = nil
	must(t, s.Client(ingot).Get(t.Context(), client.ObjectKey{Name: "a"}, server("")))
	must(t, v.Client(ingot).Get(t.Context(), client.ObjectKey{Name: "a"}, server("")))
	if len(s.Journal()) != 1 {
		t.Errorf("journal %v", s.Journal())
	}
}
