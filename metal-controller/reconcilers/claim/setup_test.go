package claim_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// manage runs the reconciler in a manager, with caches and indexes.
func (w *world) manage(ctx context.Context) (stop func()) {
	w.t.Helper()
	scheme := runtime.NewScheme()
	ok(w.t, errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme)))
	m, err := ctrl.NewManager(testapi.Config(w.t).ControllerConfig, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0"})
	ok(w.t, err)
	ok(w.t, claim.Index(ctx, m.GetFieldIndexer()))
	r := &claim.Reconciler{
		Client: m.GetClient(), Live: w.admin, Indexed: true, Events: w, CEL: w.cel, Installation: here, Now: time.Now, Random: rand.Reader,
	}
	ok(w.t, r.SetupWithManager(m))
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
}

// until reads an object again and again until it is as wanted, or for a minute.
func (w *world) until(o client.Object, what string, wanted func(there bool) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !wanted(w.read(o)) {
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: it is %+v", what, o)
		case <-tick.C:
		}
	}
}

// TestManaged: a claim that waits is woken by its class, its Environment and by a server that becomes free; its end is followed; all from caches.
func TestManaged(t *testing.T) {
	w := newWorld(t)
	defer w.manage(t.Context())()
	s := w.server("a")
	w.condition(s, reasons.Ready, no, reasons.WipeRunning)
	c := w.claim("m1", func(c *metal.ServerClaim) { c.Spec.ClassName = "late-" + w.ns })
	waits := func(reason string) func(bool) bool {
		return func(bool) bool {
			for _, x := range c.Status.Conditions {
				if x.Type == reasons.Bound && x.Reason == reason {
					return true
				}
			}
			return false
		}
	}
	w.until(c, "no class", waits(reasons.ClassMissing))
	late := w.class.DeepCopy()
	late.ObjectMeta.Name, late.ResourceVersion = "late-"+w.ns, ""
	late.Spec.EnvironmentRef = &metal.NameRef{Name: "late-" + w.ns}
	w.make(late)
	w.until(c, "class", waits(reasons.NoMatchingServer))
	environment := &metal.Environment{Spec: metal.EnvironmentSpec{Talos: &metal.TalosSource{Version: "v1.13.0"}}}
	environment.Name = "late-" + w.ns
	w.make(environment)
	w.until(c, "environment", func(bool) bool { return group(c, reasons.Resolving).Count == 1 })
	environment.Status.Talos = &metal.TalosPin{Source: environment.Spec.Talos.Source(), PinnedAt: metav1.NewTime(w.now), Boot: boots()}
	ok(t, w.ingot.Status().Update(t.Context(), environment))
	w.until(c, "its files", func(bool) bool { return group(c, reasons.NotReady).Count == 1 })
	w.condition(s, reasons.Ready, yes, reasons.Available)
	w.until(c, "a free server", func(bool) bool { return c.Spec.Binding != nil })
	w.condition(s, reasons.Provisioned, yes, reasons.Running)
	w.until(c, "running", func(bool) bool {
		return len(c.Status.Conditions) == 2 && c.Status.Conditions[1].Reason == reasons.Running
	})
	ok(t, w.admin.Delete(t.Context(), c))
	w.record(s, func(r *metal.ServerRecord) { r.Claim = nil })
	w.until(c, "gone", func(there bool) bool { return !there })
	w.until(s, "unlocked", func(bool) bool { return s.Annotations[claim.LockAnnotation] == "" })
}

// TestManagedUnlock: the server of a claim that is gone by force is unlocked once it is free.
func TestManagedUnlock(t *testing.T) {
	w := newWorld(t)
	defer w.manage(t.Context())()
	s, c := w.server("a"), w.claim("m1")
	w.until(c, "bound", func(bool) bool { return c.Spec.Binding != nil })
	ok(t, w.ingot.Delete(t.Context(), c))
	w.until(c, "gone", func(there bool) bool {
		if there { // the reconciler writes at the same time
			_ = w.ingot.Patch(t.Context(), c, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
		}
		return !there
	})
	w.record(s, func(r *metal.ServerRecord) { r.Claim = nil })
	w.until(s, "unlocked", func(bool) bool { return s.Annotations[claim.LockAnnotation] == "" })
}
