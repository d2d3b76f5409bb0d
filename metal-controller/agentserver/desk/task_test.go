package desk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// granted is a world whose Server has a grant, and whose agent reported its hardware.
func granted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, wiping())
	if err := w.Inventory(t.Context(), owner, w.name, hardware()); err != nil {
		t.Fatal(err)
	}
	return w
}

// expect asks for a task.
func (w *world) expect(what string, c lifecycle.Caller, kind lifecycle.TaskKind) lifecycle.Task {
	w.t.Helper()
	task, err := w.Task(w.t.Context(), c, w.name)
	if err != nil || task.Kind != kind {
		w.t.Errorf("%s: %+v, %v; want %s", what, task, err, kind)
	}
	return task
}

// TestTask: the grant goes to the claimant of the boot that it was given to, and to nobody else.
func TestTask(t *testing.T) {
	w := granted(t)
	task := w.expect("control", owner, lifecycle.TaskWipe)
	if g := task.Grant; g.ID() != "w1" || g.Generation() != 2 || g.Level() != metal.WipeClear || len(g.Disks()) != 1 || g.Disks()[0] != (metal.DiskID{WWID: "naa.1", Serial: "S1"}) {
		t.Errorf("the grant is %+v", g)
	}
	w.expect("another key", thief, lifecycle.TaskDenied)
	w.expect("an earlier boot", old, lifecycle.TaskDenied)
	w.expect("nobody", lifecycle.Caller{}, lifecycle.TaskDenied)
	if _, err := w.Task(t.Context(), owner, "nobody"); !errors.Is(err, desk.ErrGone) {
		t.Errorf("a Server that is not there: %v", err)
	}
	w.DryRun = true
	w.expect("dry run", owner, lifecycle.TaskWait)
	w.DryRun = false
	w.edit(func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootVoid })
	w.expect("after the boot became void", owner, lifecycle.TaskDenied)
}

// TestSettling: right after the claim the task is to wait, and to be asked for again.
func TestSettling(t *testing.T) {
	w := granted(t)
	claimed := w.at(-5 * time.Second)
	w.edit(func(r *metal.ServerRecord) { r.Boot.ClaimedAt = &claimed })
	if task := w.expect("five seconds after the claim", owner, lifecycle.TaskWait); task.After != 10*time.Second {
		t.Errorf("asked again after %s", task.After)
	}
	w.now = w.now.Add(10 * time.Second)
	w.expect("control: after it settled", owner, lifecycle.TaskWipe)
}

// TestSharedDisk: a disk that another Server shows is nobody's own, also when the machines spell it differently.
func TestSharedDisk(t *testing.T) {
	w := granted(t)
	w.expect("control", owner, lifecycle.TaskWipe)
	other := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: "other-" + w.name}, Spec: metal.ServerInventorySpec{Disks: []metal.Disk{{Name: "sdq", WWID: "NAA.1"}}}}
	w.create(other)
	if task := w.expect("with another Server that shows the disk", owner, lifecycle.TaskWait); task.Reason != reasons.DisksBlocked {
		t.Errorf("it waits for %s", task.Reason)
	}
}

// TestConflict: contradicting evidence stops the task for as long as both Servers exist.
func TestConflict(t *testing.T) {
	w := granted(t)
	w.Sightings.Conflict([]string{w.name, "gone"})
	w.expect("control: the other one is gone", owner, lifecycle.TaskWipe)
	other := &metal.Server{ObjectMeta: metav1.ObjectMeta{GenerateName: "twin-"}}
	w.create(other)
	w.Sightings.Conflict([]string{w.name, other.Name})
	if task := w.expect("with a twin", owner, lifecycle.TaskWait); task.Reason != reasons.IdentityConflict {
		t.Errorf("it waits for %s", task.Reason)
	}
}

// stale is a cache that shows one Server as it was.
type stale struct {
	client.Client
	server *metal.Server
}

func (s *stale) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	if server, ok := into.(*metal.Server); ok && key.Name == s.server.Name {
		s.server.DeepCopyInto(server)
		return nil
	}
	return s.Client.Get(ctx, key, into, opts...)
}

// TestStaleTrust: an old cache does not keep trust alive.
func TestStaleTrust(t *testing.T) {
	w := granted(t)
	earlier := w.server()
	w.Client = &stale{w.Client, earlier}
	w.edit(func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootVoid })
	w.expect("the cache shows a boot that became void", owner, lifecycle.TaskDenied)
	if err := w.Inventory(t.Context(), owner, w.name, hardware()); !errors.Is(err, desk.ErrNotBelieved) {
		t.Errorf("reporting: %v", err)
	}
	if err := w.Report(t.Context(), owner, w.name, desk.Report{ID: "w1", Generation: 2, Receipt: &metal.WipeReceipt{}}); !errors.Is(err, desk.ErrNotBelieved) {
		t.Errorf("telling: %v", err)
	}
}

// TestStaleAcceptance: what the cache shows as a Server that nobody accepted, with an operating system, is judged by what is so now.
func TestStaleAcceptance(t *testing.T) {
	w := granted(t)
	naked := w.server()
	naked.Spec.Record = nil
	inventory := hardware()
	inventory.Disks[0].Contents = metal.DiskBootable
	if err := w.Inventory(t.Context(), owner, w.name, inventory); err != nil {
		t.Fatal(err)
	}
	w.Client = &stale{w.Client, naked}
	w.expect("the cache shows no acceptance yet", thief, lifecycle.TaskDenied)
	w.expect("the cache shows no claim yet", owner, lifecycle.TaskWipe)
	if err := w.Inventory(t.Context(), thief, w.name, inventory); !errors.Is(err, desk.ErrNotBelieved) {
		t.Errorf("the cache shows no acceptance yet: %v", err)
	}
}

// TestStaleClaim: an old cache does not keep the claimant out.
func TestStaleClaim(t *testing.T) {
	w := newWorld(t, expecting(metal.BootBooting))
	before := w.server()
	if _, err := w.Claim(t.Context(), w.name, owner); err != nil {
		t.Fatal(err)
	}
	w.Client = &stale{w.Client, before}
	if err := w.Admit(t.Context(), owner, w.name); err != nil {
		t.Errorf("a claim that the cache does not show yet: %v", err)
	}
	for name, c := range map[string]lifecycle.Caller{"another key": thief, "an earlier boot": old} {
		if err := w.Admit(t.Context(), c, w.name); !errors.Is(err, desk.ErrNotBelieved) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnproven: before acceptance any boot is let in, and gets nothing to do to the machine's disks.
func TestUnproven(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.Admit(t.Context(), thief, w.name); err != nil {
		t.Errorf("control: %v", err)
	}
	w.expect("before the inventory", thief, lifecycle.TaskWait)
	inventory := hardware()
	if err := w.Inventory(t.Context(), thief, w.name, inventory); err != nil {
		t.Fatal(err)
	}
	w.expect("with data", thief, lifecycle.TaskWait)
	inventory.Disks[0].Contents = metal.DiskBootable
	if err := w.Inventory(t.Context(), thief, w.name, inventory); err != nil {
		t.Fatal(err)
	}
	w.expect("with an operating system", thief, lifecycle.TaskLeave)
	if err := w.Admit(t.Context(), thief, "nobody"); !errors.Is(err, desk.ErrGone) {
		t.Errorf("a Server that is not there: %v", err)
	}
}
