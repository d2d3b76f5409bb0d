package desk_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const here = "0123456789abcdef0123456789abcdef"

// Keys and boots of the stories.
var (
	keyA  = strings.Repeat("a", 64)
	keyB  = strings.Repeat("b", 64)
	owner = lifecycle.Caller{BootID: "b1", Key: keyA}
	thief = lifecycle.Caller{BootID: "b1", Key: keyB}
	old   = lifecycle.Caller{BootID: "b0", Key: keyA}
)

// world is a desk on a real API server, as the controllers' identity, with a clock that only tests move.
type world struct {
	*desk.Desk
	t    *testing.T
	name string
	now  time.Time

	mu     sync.Mutex
	events []string
}

// Event remembers what was told.
func (w *world) Event(server string, warning bool, reason, _ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if warning {
		reason = "Warning " + reason
	}
	w.events = append(w.events, server+" "+reason)
}

// newWorld makes a Server with a record; nil is none.
func newWorld(t *testing.T, record *metal.ServerRecord) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := metal.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	w.Desk = &desk.Desk{Client: c, Live: c, Sightings: sightings.New(clock), Events: w, Installation: here, Now: clock}
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{GenerateName: "srv-"}, Spec: metal.ServerSpec{
		Accepted: record != nil && record.Acceptance != nil, Record: record, BMC: &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "bmc"},
	}}
	w.create(s)
	w.name = s.Name
	// Gone at once, since the next test's disk has the same WWID.
	t.Cleanup(func() {
		_ = c.Delete(context.Background(), &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: s.Name}})
	})
	return w
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.Client.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.Client.Delete(context.Background(), o) })
}

// server is the Server as it is stored.
func (w *world) server() *metal.Server {
	w.t.Helper()
	var s metal.Server
	if err := w.Live.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &s); err != nil {
		w.t.Fatal(err)
	}
	return &s
}

// stored is the inventory as it is stored.
func (w *world) stored() (*metal.ServerInventory, error) {
	var i metal.ServerInventory
	err := w.Live.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &i)
	return &i, err
}

// edit changes the record as the reconciler does.
func (w *world) edit(change func(*metal.ServerRecord)) {
	w.t.Helper()
	s := w.server()
	change(s.Spec.Record)
	if err := w.Client.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// unchanged runs f and reports a Server that is not as it was before.
func (w *world) unchanged(what string, f func()) {
	w.t.Helper()
	before := w.server().ResourceVersion
	f()
	if after := w.server().ResourceVersion; after != before {
		w.t.Errorf("%s: the Server was written", what)
	}
}

// at is a time of the record, relative to now.
func (w *world) at(d time.Duration) metav1.Time { return metav1.NewTime(w.now.Add(d)) }

// expecting is the record of an accepted Server that expects the boot b1.
func expecting(phase metal.BootPhase) *metal.ServerRecord {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r := &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: metav1.NewTime(start.Add(-time.Hour)), Level: metal.WipeClear},
		ManagedBy:  &metal.ManagedBy{Installation: here, Epoch: 1},
		Boot: &metal.BootRecord{
			ID: "b1", Phase: phase, StartedAt: metav1.NewTime(start.Add(-5 * time.Minute)), At: metav1.NewTime(start.Add(-4 * time.Minute)),
			Deadline: metav1.NewTime(start.Add(10 * time.Minute)),
		},
	}
	if phase == metal.BootClaimed {
		claimed := metav1.NewTime(start.Add(-time.Minute))
		r.Boot.Claimant, r.Boot.ClaimedAt = keyA, &claimed
	}
	return r
}

// wiping is the record of a Server whose wipe w1 was granted to the claimant of b1.
func wiping() *metal.ServerRecord {
	r := expecting(metal.BootClaimed)
	disks := []metal.DiskID{{WWID: "naa.1", Serial: "S1"}}
	r.Acceptance.Disks = disks
	r.Wipe = &metal.WipeRecord{ID: "w1", Level: metal.WipeClear, Disks: disks, GrantedAt: *r.Boot.ClaimedAt, Generation: 2, BootID: "b1"}
	return r
}

// hardware is an inventory with the one disk of wiping.
func hardware() metal.ServerInventorySpec {
	return metal.ServerInventorySpec{Arch: "amd64", Disks: []metal.Disk{{
		Name: "sda", WWID: "naa.1", Serial: "S1", SizeBytes: 1 << 30, Transport: "sata", Contents: metal.DiskData,
	}}}
}
