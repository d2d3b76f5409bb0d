// Package storetest is the contract of the simulator's store: what a Kubernetes API with Ingot's kinds does. The same behaviours run against the
// store and against a real API server, and Compare runs random operations on both and compares what comes out. Layer 5, proof.
package storetest

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Backend is an API to be tested.
type Backend struct {
	// Ingot and Admin read without a cache; admission takes the first for Ingot's controllers.
	Ingot, Admin client.Client
	// Namespaces exist. Their names make those of cluster-scoped objects unique.
	Namespaces [2]string
	// Settle gives the garbage collector its turn; nil where it runs by itself.
	Settle func()
}

// Run holds a fresh backend for each behaviour to the contract.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for _, group := range [][]behaviour{births, changes, patches, statuses, deletions, lists, admissions, schemas} {
		for _, b := range group {
			t.Run(b.name, func(t *testing.T) { b.run(&world{T: t, Backend: open(t)}) })
		}
	}
}

// RunCached is Run for a backend that reads from a cache, without what a cache does not have.
func RunCached(t *testing.T, open func(t *testing.T) Backend) {
	for _, group := range [][]behaviour{births, changes, patches, statuses, deletions, admissions} {
		for _, b := range group {
			t.Run(b.name, func(t *testing.T) { b.run(&world{T: t, Backend: open(t)}) })
		}
	}
}

// behaviour is one promise of the API.
type behaviour struct {
	name string
	run  func(*world)
}

// world is a test with its backend.
type world struct {
	*testing.T
	Backend
}

// name is unique on the backend.
func (w *world) name(short string) string { return w.Namespaces[0] + "-" + short }

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused wants an error with this reason; several are enough.
func (w *world) refused(err error, reasons ...metav1.StatusReason) {
	w.Helper()
	for _, r := range reasons {
		if err != nil && apierrors.ReasonForError(err) == r {
			return
		}
	}
	w.Errorf("want %v, got %v (%s)", reasons, err, apierrors.ReasonForError(err))
}

func (w *world) create(objects ...client.Object) {
	w.Helper()
	for _, o := range objects {
		w.ok(w.Ingot.Create(w.Context(), o))
	}
}

// reload reads an object into an empty one, so that nothing of the caller's stays.
func reload[T any, P interface {
	*T
	client.Object
}](w *world, o P) P {
	w.Helper()
	fresh := P(new(T))
	w.ok(w.Ingot.Get(w.Context(), client.ObjectKeyFromObject(o), fresh))
	return fresh
}

// gone is whether an object does not exist.
func (w *world) gone(o client.Object) bool {
	w.Helper()
	copied, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return false
	}
	err := w.Ingot.Get(w.Context(), client.ObjectKeyFromObject(o), copied)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	return err != nil
}

// eventually waits for what the garbage collector does.
func (w *world) eventually(what string, done func() bool) {
	w.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if w.Settle != nil {
			w.Settle()
		}
		if done() {
			return
		}
		if w.Settle != nil {
			break
		}
		<-tick.C
	}
	w.Fatal("it did not happen: " + what)
}

// locked is the patch that reconcilers use.
func locked(before client.Object) client.Patch {
	return client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
}
