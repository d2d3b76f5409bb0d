package server_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/erase/erasetest"
	"ingot.dev/ingot/metal-controller/erase/ledger"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// readyServers are as many servers as could be granted a wipe at once: accepted, their boots claimed, their disks confirmed.
const readyServers = 40

// TestDestructiveLimit (rule 6): eight workers, forty servers that are ready in the same moment, and no more grants than the limit; the others say
// why they wait. A process that forgot what it granted grants no more. An hour later the next ones go on.
func TestDestructiveLimit(t *testing.T) {
	f := newFleet(t, "limited")
	f.pass(f.reconciler("5"))
	if granted, waiting := f.count(); granted != 5 || waiting != readyServers-5 {
		t.Errorf("%d grants and %d servers that wait; want 5 and %d", granted, waiting, readyServers-5)
	}
	f.pass(f.reconciler("5"))
	if granted, _ := f.count(); granted != 5 {
		t.Errorf("after a restart there are %d grants; want 5", granted)
	}
	f.now = f.now.Add(time.Hour + time.Second)
	f.pass(f.reconciler("5"))
	if granted, _ := f.count(); granted != 10 {
		t.Errorf("an hour later there are %d grants; want 10", granted)
	}
}

// TestRoomyLimit is the control of the one above: with room for all, all are granted. A dry run grants none of them, and says so.
func TestRoomyLimit(t *testing.T) {
	f := newFleet(t, "roomy")
	dry := f.reconciler("40")
	dry.DryRun = true
	f.pass(dry)
	if granted, _ := f.count(); granted != 0 || f.reasons[reasons.DryRun] != readyServers {
		t.Errorf("a dry run granted %d; the servers say %v", granted, f.reasons)
	}
	f.pass(f.reconciler("40"))
	if granted, waiting := f.count(); granted != readyServers || waiting != 0 {
		t.Errorf("%d grants, %d servers wait; want all granted", granted, waiting)
	}
}

// TestGrantsOfAcceptedAgain: accepting again makes the record forget its wipe; the process that granted it still counts it.
func TestGrantsOfAcceptedAgain(t *testing.T) {
	f := newFleet(t, "again")
	r := f.reconciler("1")
	f.pass(r)
	var list metal.ServerList
	if err := f.api.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Items {
		if s.Spec.Record != nil && s.Spec.Record.Wipe != nil {
			s.Spec.Record.Wipe = nil
			if err := f.api.Update(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if granted, _ := f.count(); granted != 0 {
		t.Fatalf("control: %d grants are recorded", granted)
	}
	f.now = f.now.Add(time.Minute)
	f.pass(r)
	if granted, _ := f.count(); granted != 0 {
		t.Errorf("%d more were granted within the hour", granted)
	}
}

// TestLimitOfTwoLeaders: a leader whose cache shows none of the grants of the one before grants no more than the limit: what permits is counted
// uncached. Control: with room for them it grants the rest.
func TestLimitOfTwoLeaders(t *testing.T) {
	f := newFleet(t, "leaders")
	f.pass(f.reconciler("5"))
	for _, c := range []struct {
		limit string
		want  int
	}{{"5", 5}, {"40", readyServers}} {
		next := f.reconciler(c.limit)
		next.Client = oldLists{f.api}
		f.pass(next)
		if granted, _ := f.count(); granted != c.want {
			t.Errorf("under the limit %s there are %d grants; want %d", c.limit, granted, c.want)
		}
	}
}

// oldLists lists Servers as they were before any grant.
type oldLists struct{ client.Client }

// List forgets grants.
func (c oldLists) List(ctx context.Context, into client.ObjectList, opts ...client.ListOption) error {
	err := c.Client.List(ctx, into, opts...)
	if servers, ok := into.(*metal.ServerList); ok {
		for i := range servers.Items {
			if r := servers.Items[i].Spec.Record; r != nil {
				r.Wipe = nil
			}
		}
	}
	return err
}

// fleet is many servers that are ready, on a real API server.
type fleet struct {
	t       *testing.T
	api     client.WithWatch
	name    string
	now     time.Time
	reasons map[string]int // of the condition Clean, by the last count
}

func newFleet(t *testing.T, name string) *fleet {
	t.Helper()
	f := &fleet{t: t, name: name, now: time.Now().UTC().Truncate(time.Second), api: newClient(t, testapi.Config(t).ControllerConfig)}
	for i := range readyServers {
		f.add(i)
	}
	return f
}

func (f *fleet) server(i int) string { return fmt.Sprintf("%s-%d", f.name, i) }

// add makes one server that is ready.
func (f *fleet) add(i int) {
	f.t.Helper()
	name, at := f.server(i), metav1.NewTime(f.now.Add(-time.Minute))
	disk := metal.Disk{Name: "nvme0n1", Transport: "nvme", WWID: "eui." + name, Serial: name, Contents: metal.DiskData}
	record := &metal.ServerRecord{
		ManagedBy:  &metal.ManagedBy{Installation: "here", Epoch: 1},
		Acceptance: &metal.AcceptanceRecord{At: at, RequestID: "r", Level: metal.WipeClear, Disks: []metal.DiskID{{WWID: disk.WWID, Serial: disk.Serial}}},
		Boot:       &metal.BootRecord{ID: "b-" + name, Phase: metal.BootClaimed, StartedAt: at, At: at, ClaimedAt: &at, Deadline: at, Claimant: "key", RestartedBy: "before"},
		Agent:      &metal.AgentRecord{BootID: "b-" + name, Key: "key", HeardAt: at},
	}
	for _, o := range []client.Object{
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Accepted: true, Record: record}},
		&metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{
			Disks: []metal.Disk{disk}, Agent: metal.AgentInfo{BootID: record.Boot.ID, Proven: 1},
		}},
	} {
		if err := f.api.Create(f.t.Context(), o); err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { _ = f.api.Delete(context.Background(), o) })
	}
}

// reconciler is one process.
func (f *fleet) reconciler(limit string) *server.Reconciler {
	f.t.Helper()
	l, err := server.ParseLimit(limit)
	if err != nil {
		f.t.Fatal(err)
	}
	now := func() time.Time { return f.now }
	return &server.Reconciler{
		Client: f.api, Live: f.api, Plane: noPlane{}, Sightings: sightings.New(now), Events: noEvents{}, Installation: "here", Now: now, Random: rand.Reader,
		Disks: disks.Finder{Reader: f.api}, Eraser: &ledger.Ledger{Client: f.api, Live: f.api, Signer: erasetest.Signer(f.t), Installation: "here"}, Limit: l, Workloads: &workload{}, Idle: &workload{},
	}
}

// pass reconciles every server once, with eight workers that begin at once.
func (f *fleet) pass(r *server.Reconciler) {
	f.t.Helper()
	names := make(chan string, readyServers)
	for i := range readyServers {
		names <- f.server(i)
	}
	close(names)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for n := range names {
				if _, err := r.Reconcile(f.t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: n}}); err != nil {
					f.t.Error(err)
				}
			}
		})
	}
	workers.Wait()
}

// count says how many servers have a grant, and how many wait for the limit.
func (f *fleet) count() (granted, waiting int) {
	f.t.Helper()
	var list metal.ServerList
	if err := f.api.List(f.t.Context(), &list); err != nil {
		f.t.Fatal(err)
	}
	f.reasons = map[string]int{}
	for _, s := range list.Items {
		if s.Spec.Record != nil && s.Spec.Record.Wipe != nil {
			granted++
		}
		if c := meta.FindStatusCondition(s.Status.Conditions, reasons.Clean); c != nil {
			f.reasons[c.Reason]++
		}
	}
	return granted, f.reasons[reasons.DestructiveLimit]
}

// noPlane is for servers without a BMC.
type noPlane struct{}

// Ensure does nothing.
func (noPlane) Ensure(string, server.BMC) {}

// Submit does nothing.
func (noPlane) Submit(string, lifecycle.Action) {}

// Latest says nothing.
func (noPlane) Latest(string) lifecycle.PowerReading { return lifecycle.PowerReading{} }

// Forget does nothing.
func (noPlane) Forget(string) {}

// noEvents drops events.
type noEvents struct{}

// Event does nothing.
func (noEvents) Event(string, bool, string, string) {}
