package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/metal-controller/sightings"
)

// claimed is a clean server with both sides of a binding. The test is the claim reconciler.
func claimed(t *testing.T, name string, labels map[string]string) (*world, *metal.ServerClaim) {
	t.Helper()
	w := newWorld(t, name, withBMC(name))
	tellStory(w)
	ours := newClient(t, w.config())
	c := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: labels, Finalizers: []string{metal.ReleaseFinalizer}}}
	c.Spec.ClassName = "class"
	must(w, ours.Create(t.Context(), c))
	t.Cleanup(func() { w.forgetClaim(c) })
	s := w.server()
	s.Spec.Record.Claim = &metal.ClaimRecord{Namespace: "default", Name: name, BindingID: "b-" + name, At: metav1.NewTime(w.now.Truncate(time.Second))}
	must(w, ours.Update(t.Context(), s))
	for range 5 {
		if _, err := w.reconcile(); err != nil {
			t.Fatal(err)
		}
	}
	if s := w.server(); s.Spec.Record.Claim.BoundAt != nil || len(w.plane.orders) != 1 {
		t.Fatalf("something was begun before the claim has its side: %+v, %v", s.Spec.Record, w.plane.orders)
	}
	c.Spec.Binding = &metal.Binding{Server: name, BindingID: "b-" + name}
	must(w, ours.Update(t.Context(), c))
	return w, c
}

// forgetClaim removes the claim, as if it had never been released.
func (w *world) forgetClaim(c *metal.ServerClaim) {
	w.t.Helper()
	ctx := w.t.Context()
	if ctx.Err() != nil {
		return // the API server goes with the test
	}
	must(w, client.IgnoreNotFound(w.admin.Delete(ctx, c)))
	if w.admin.Get(ctx, client.ObjectKeyFromObject(c), c) == nil {
		controllerutil.RemoveFinalizer(c, metal.ReleaseFinalizer)
		must(w, client.IgnoreNotFound(w.admin.Update(ctx, c)))
	}
}

// runs plays the machine: it is installed and tells that it runs.
func (w *world) runs() {
	w.t.Helper()
	s := w.until("the boot of the operating system", func(s *metal.Server) bool {
		b := s.Spec.Record.Boot
		return b != nil && b.Phase == metal.BootBooting && b.Target == metal.BootTargetOS && s.Status.Boot.Target == metal.BootTargetOS
	})
	at := metav1.NewTime(w.now.Truncate(time.Second))
	r := s.Spec.Record
	r.Installed = &metal.InstalledRecord{BootID: r.Boot.ID, BindingID: r.Claim.BindingID, At: at, RunningAt: &at, EverySeconds: 10}
	r.Boot.Phase, r.Boot.At = metal.BootVoid, at
	must(w, newClient(w.t, w.config()).Update(w.t.Context(), s))
	w.until("it runs", func(s *metal.Server) bool {
		return s.Status.State == metal.StateRunning && s.Status.Boot.Target == metal.BootTargetLocalDisk
	})
}

func condition(s *metal.Server, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(s.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// TestReleased: a deleted claim is released: the system is asked to go down, the machine read off, the binding ended, and the conditions of a claim go with it.
func TestReleased(t *testing.T) {
	w, c := claimed(t, "released", nil)
	w.workload.reason, w.workload.message = reasons.ConfigMissing, "An operator must create the Secret."
	s := w.until("it waits for its config", func(s *metal.Server) bool { return condition(s, reasons.Provisioned).Reason == reasons.ConfigMissing })
	if s.Status.Boot.Target != metal.BootTargetIdle || len(w.plane.orders) != 1 {
		t.Errorf("boots %s, orders %v", s.Status.Boot.Target, w.plane.orders)
	}
	w.workload = workload{}
	w.runs()
	must(w, w.admin.Delete(t.Context(), c))
	s = w.until("the binding ended", func(s *metal.Server) bool { return s.Spec.Record.Claim == nil })
	if f := s.Spec.Record.Release; f == nil || f.OffAt == nil || f.Proof != metal.ProofPowerOff || s.Spec.Record.Wipe != nil {
		t.Errorf("record %+v", s.Spec.Record)
	}
	if condition(s, reasons.Provisioned).Type != "" || condition(s, reasons.Released).Status != metav1.ConditionTrue {
		t.Errorf("conditions %+v", s.Status.Conditions)
	}
	if !slices.Contains(w.plane.orders, lifecycle.EnsureShutdown) {
		t.Errorf("orders %v: the system was not asked", w.plane.orders)
	}
}

// ingotMachine is a machine of Cluster API that nobody deletes.
func (w *world) ingotMachine(name string) *unstructured.Unstructured {
	w.t.Helper()
	m := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"className": "class"}}}
	m.SetAPIVersion("infrastructure.cluster.x-k8s.io/v1alpha1")
	m.SetKind("IngotMachine")
	m.SetNamespace("default")
	m.SetName(name)
	must(w, w.admin.Create(w.t.Context(), m))
	w.t.Cleanup(func() { _ = w.admin.Delete(context.Background(), m) })
	return m
}

// TestNotReleased: a claim that is gone, moved, or whose Cluster is not there or whose machine stays is no release. The control is TestReleased.
func TestNotReleased(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		end    func(w *world, c *metal.ServerClaim)
		reason string
	}{
		"gone": {nil, (*world).forgetClaim, reasons.ClaimMissing},
		"moved": {nil, func(w *world, c *metal.ServerClaim) {
			c.Annotations = map[string]string{"clusterctl.cluster.x-k8s.io/delete-for-move": ""}
			must(w, w.admin.Update(w.t.Context(), c))
			must(w, w.admin.Delete(w.t.Context(), c))
		}, reasons.ReleasePaused},
		"no-cluster": {map[string]string{"cluster.x-k8s.io/cluster-name": "prod"}, func(w *world, c *metal.ServerClaim) {
			must(w, w.admin.Delete(w.t.Context(), c))
		}, reasons.ReleasePaused},
		"machine-stays": {nil, func(w *world, c *metal.ServerClaim) {
			m := w.ingotMachine(c.Name)
			yes := true
			c.OwnerReferences = []metav1.OwnerReference{{APIVersion: m.GetAPIVersion(), Kind: m.GetKind(), Name: m.GetName(), UID: "that-of-another-life", Controller: &yes}}
			must(w, w.admin.Update(w.t.Context(), c)) // the garbage collector deletes it, too
			must(w, client.IgnoreNotFound(w.admin.Delete(w.t.Context(), c)))
		}, reasons.ReleasePaused},
	} {
		t.Run(name, func(t *testing.T) {
			w, claim := claimed(t, name, c.labels)
			w.runs()
			orders := len(w.plane.orders)
			must(w, w.admin.Get(t.Context(), client.ObjectKeyFromObject(claim), claim))
			c.end(w, claim)
			w.until(c.reason, func(s *metal.Server) bool {
				return condition(s, reasons.Released).Reason == c.reason || condition(s, reasons.Provisioned).Reason == c.reason
			})
			w.now = w.now.Add(24 * time.Hour)
			w.settle()
			if s := w.server(); s.Spec.Record.Claim == nil || s.Spec.Record.Release != nil || len(w.plane.orders) != orders || s.Status.Boot.Target != metal.BootTargetLocalDisk {
				t.Errorf("orders %v, record %+v", w.plane.orders[orders:], s.Spec.Record)
			}
		})
	}
}

// TestWarm: a class that keeps idle servers warm has them started again once they are clean.
func TestWarm(t *testing.T) {
	w := newWorld(t, "warm", withBMC("warm"))
	tellStory(w)
	w.settle()
	if n := len(w.plane.orders); n != 1 {
		t.Fatalf("control: a cold server got the orders %v", w.plane.orders)
	}
	w.workload.warm = true
	s := w.until("it is started again", func(s *metal.Server) bool { return s.Status.Boot.Target == metal.BootTargetAgent && w.plane.on })
	if c := condition(s, reasons.Ready); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "claimed") {
		t.Errorf("a warm server is not Ready: %+v", c)
	}
}

// TestSilence: a running system is looked after only when nobody heard it, and its machine asked for its boot again and again meanwhile.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(w *world) // half an hour before the machine asks
		after  func(w *world) // when it did
		looks  bool
	}{
		{"silent", nil, nil, true},
		{"told-here", nil, func(w *world) { w.memory.Told(w.name) }, false},
		{"the-clock-was-set", nil, func(w *world) { w.memory.Told(w.name); w.set += 13 * time.Hour; w.now = w.now.Add(13 * time.Hour) }, false},
		{"told-another", nil, func(w *world) { w.heard(w.now) }, false},
		{"told-another-first", func(w *world) { w.ran(time.Time{}) }, func(w *world) { w.ran(w.now); w.now = w.now.Add(5 * time.Minute) }, false},
		{"told-another-long-ago", func(w *world) { w.heard(w.now) }, nil, true},
		{"just-elected", nil, func(w *world) { w.memory.Watch() }, false},
	} {
		for _, leader := range []bool{true, false} { // who was told of the boots
			name := fmt.Sprintf("%s-%v", c.name, leader)
			t.Run(name, func(t *testing.T) {
				w, _ := claimed(t, name, nil)
				w.runs()
				if c.before != nil {
					c.before(w)
					w.settle() // which notices it
				}
				w.now = w.now.Add(30 * time.Minute)
				for i := range 2 {
					w.asks(i, leader)
				}
				w.now = w.now.Add(time.Second)
				if c.after != nil {
					c.after(w)
				}
				w.now = w.now.Add(time.Minute)
				if _, err := w.reconcile(); err != nil {
					t.Fatal(err)
				}
				b := w.server().Spec.Record.Boot
				if looks := b.Phase != metal.BootVoid && b.Target == metal.BootTargetAgent; looks != c.looks {
					t.Errorf("looked after: %v; %+v", looks, b)
				}
			})
		}
	}
}

// ran lets the record say when the system told first that it runs; never when that is zero.
func (w *world) ran(at time.Time) {
	w.t.Helper()
	s := w.server()
	i := s.Spec.Record.Installed
	if i.RunningAt = nil; !at.IsZero() {
		i.RunningAt = &metav1.Time{Time: at.Truncate(time.Second)}
	}
	must(w, newClient(w.t, w.config()).Update(w.t.Context(), s))
}

// heard is what a replica writes that does not lead, when it hears the workload.
func (w *world) heard(at time.Time) {
	w.t.Helper()
	s := w.server()
	s.Spec.Record.Installed.HeardAt = &metav1.Time{Time: at.Truncate(time.Second)}
	must(w, newClient(w.t, w.config()).Update(w.t.Context(), s))
}

// asks lets the machine get its own disk, and the leader or another replica be told of it.
func (w *world) asks(n int, leader bool) {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	memory := sightings.New(func() time.Time { return w.now })
	if leader {
		memory = w.memory
	}
	memory.LocalBoot(w.name)
	memory.Boot(w.name, metal.BootTimeline{ID: fmt.Sprint("local-", n), Target: metal.BootTargetLocalDisk, Stages: []metal.BootStage{{Stage: "Script", At: metav1.NewMicroTime(w.now)}}})
	if !leader {
		r := w.reconciler(newClient(w.t, w.config()))
		r.Sightings = memory
		(&server.Follower{Reconciler: r}).Write(w.t.Context(), w.name)
	}
}
