//go:build e2e

package setup_test

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotcluster"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotmachine"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotremediation"
	"ingot.dev/ingot/metal-controller/reconcilers/ingottemplate"
)

// counted runs the reconcilers of all kinds for Cluster API on objects, a thousand times, with a cache as they have in a manager, and says what they read and wrote.
func (w *tenant) counted(of map[string]client.Object) (reads, writes int) {
	t := w.t
	t.Helper()
	c, stop := w.counting(t)
	all := map[string]reconcile.Reconciler{
		"cluster":  &ingotcluster.Reconciler{Client: c, Now: time.Now},
		"machine":  &ingotmachine.Reconciler{Client: c, Live: w.admin, Events: noEvents{}, Now: time.Now},
		"template": &ingottemplate.Reconciler{Client: c, Now: time.Now},
		"remedy":   &ingotremediation.Reconciler{Client: c, Live: w.admin, Events: noEvents{}, Installation: w.installation(), Now: time.Now, Random: zeros{}},
	}
	for what, o := range of {
		for range 1000 {
			if _, err := all[what].Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(o)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	return c.reads, c.writes
}

// still checks that a thousand reconciles of each kind write nothing and order nothing of a BMC, which is read meanwhile.
func (w *tenant) still(when string, b *fakeBMC, kinds map[string]client.Object) {
	w.t.Helper()
	before, read := b.orders(), b.polls()
	reads, writes := w.counted(kinds)
	tick, end := time.NewTicker(100*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for b.polls() == read {
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("%s: nobody reads the BMC", when)
		}
	}
	if writes != 0 || reads < 4000 || !slices.Equal(b.orders(), before) {
		w.t.Errorf("%s: %d reads, %d writes, and the BMC got %v after %v", when, reads, writes, b.orders(), before)
	}
}

// zeros is a source of randomness that has none.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestPause: a paused Cluster is left as it is, whatever happens to its machines: no write for a thousand reconciles of every kind, no order to a BMC. Unpaused, all of it
// goes on. The same thousand reconciles write nothing once all has converged, either.
func TestPause(t *testing.T) {
	w := newTenant(t)
	for _, n := range []string{"0", "1"} {
		w.server(w.ns+"-"+n, "r1")
	}
	c := w.readyCluster("c1")
	own := &infra.IngotCluster{ObjectMeta: w.meta("c1")}
	d, known := w.set("c1", "md", 1, nil), map[string]string{}
	first := w.grown(d, 1, known)[0]
	machine := w.bmc(known[first.Name] + ".bmc.example")
	log := machine.orders
	check := w.health("c1", "check", "md", 1, 3600)
	w.unhealthy(first.Name, true)
	remedy := &infra.IngotRemediation{ObjectMeta: w.meta(first.Name)}
	w.until("it was cycled", remedy, func() bool { return remedy.Status.Phase == infra.RemediationWatching })
	kinds := map[string]client.Object{"cluster": own, "machine": &first, "template": &infra.IngotMachineTemplate{ObjectMeta: w.meta("md")}, "remedy": remedy}
	w.until("all has converged", &first, func() bool { return reason(first.Status.Conditions, "Ready") == reasons.Running })
	w.still("converged", machine, kinds)
	w.well(first.Name, check)

	patchOf(t, c, `{"spec":{"paused":true}}`)
	w.until("its infrastructure says that it is paused", own, func() bool { return meta.IsStatusConditionTrue(own.Status.Conditions, clusterv1.PausedCondition) })
	w.until("its machine says that it is paused", &first, func() bool { return meta.IsStatusConditionTrue(first.Status.Conditions, clusterv1.PausedCondition) })
	_, second := w.machine("c1", "second", nil)
	w.until("the new machine waits for its Machine, which the core leaves alone", second, func() bool { return reason(second.Status.Conditions, "Ready") == reasons.MachineMissing })
	remedy = &infra.IngotRemediation{ObjectMeta: w.meta(first.Name)} // the core is paused, so somebody else makes it
	owner := &clusterv1.Machine{ObjectMeta: w.meta(first.Name)}
	w.until("its Machine", owner, func() bool { return true })
	remedy.OwnerReferences = []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Machine", Name: owner.Name, UID: owner.UID}}
	w.create(remedy)
	w.until("the remedy says that it is paused", remedy, func() bool { return meta.IsStatusConditionTrue(remedy.Status.Conditions, clusterv1.PausedCondition) })
	kinds["machine"], kinds["remedy"] = second, remedy
	before := log()
	w.still("paused", machine, kinds)
	claim := &metal.ServerClaim{ObjectMeta: w.meta("second")}
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(claim), claim); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("a machine of the paused Cluster claims a server: %v", err)
	}

	patchOf(t, c, `{"spec":{"paused":null}}`)
	// The core's Machine controller hears of a Cluster only once its control plane is initialized (cluster-api v1.14.2, core/reconcilers/machine: ClusterControlPlaneInitialized), and
	// here none ever is: it looks at a Machine without a MachineSet again when that changes.
	patchOf(t, &clusterv1.Machine{ObjectMeta: w.meta("second")}, `{"metadata":{"labels":{"changed":"yes"}}}`)
	w.until("unpaused, the machine claims", claim, func() bool { return claim.Spec.Binding != nil })
	w.until("and the other is cycled", remedy, func() bool { return remedy.Status.Phase == infra.RemediationWatching })
	if got := log()[len(before):]; cycles(got) != 1 {
		t.Errorf("unpaused, the BMC got %v", got)
	}
}
