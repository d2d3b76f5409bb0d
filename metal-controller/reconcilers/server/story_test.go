package server_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/erase"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestStory: accept, expected boot, claim, inventory, grant, progress, receipt, off, erase record, Available; and then a thousand reconciles
// write and order nothing.
func TestStory(t *testing.T) {
	w := newWorld(t, "story", withBMC("story"))
	tellStory(w)
	s := w.server()
	record := s.Spec.Record
	if s.Status.State != metal.StateAvailable || s.Status.Wipe != nil || record.BMCPin == nil || record.BMCPin.SHA256 != pinSeen || record.Wipe.Generation != 1 {
		t.Errorf("state %s, progress %+v, record %+v", s.Status.State, s.Status.Wipe, record)
	}
	if got := w.plane.orders; !slices.Equal(got, []lifecycle.ActionKind{lifecycle.EnsurePowerOnFromNetwork}) {
		t.Errorf("orders %v; want one boot and nothing else", got)
	}
	if got := stages(s.Status.Boots, record.Wipe.BootID); !slices.Equal(got, []string{
		metal.StageSwitchingOn, metal.StagePoweredOn, metal.StageWipeGranted, metal.StageWiping, metal.StageReceipt, metal.StagePoweredOff, metal.StageVerified,
	}) {
		t.Errorf("the boot's timeline is %v", got)
	}
	w.settle()
	before, rv, orders := w.writes, w.server().ResourceVersion, len(w.plane.orders)
	for range 1000 {
		if _, err := w.reconcile(); err != nil {
			t.Fatal(err)
		}
	}
	if w.writes != before || w.server().ResourceVersion != rv || len(w.plane.orders) != orders {
		t.Errorf("%d writes and the orders %v in a thousand idle reconciles", w.writes-before, w.plane.orders[orders:])
	}
}

// stages are those of one boot, in order.
func stages(boots []metal.BootTimeline, id string) (names []string) {
	for _, b := range boots {
		for _, s := range b.Stages {
			if b.ID == id {
				names = append(names, s.Stage)
			}
		}
	}
	return names
}

// TestStorySurvivesDeath: the process dies before and after each effect of the story in turn, and each ends like the one without a death: one wipe,
// handed out once, one erase record.
func TestStorySurvivesDeath(t *testing.T) {
	effects := 0
	t.Run("no death", func(t *testing.T) { effects = tellMortal(t, "calm", -1, false) })
	if effects < 10 {
		t.Fatalf("control: the story has %d effects", effects)
	}
	for at := range effects {
		for _, after := range []bool{false, true} {
			name := fmt.Sprintf("death-%d-%v", at, after)
			t.Run(name, func(t *testing.T) { tellMortal(t, name, at, after) })
		}
	}
}

// tellMortal tells the story with a death at one effect, and says how many effects there were.
func tellMortal(t *testing.T, name string, dieAt int, after bool) int {
	w := newWorld(t, name, withBMC(name))
	w.dieAt, w.dieAfter = dieAt, after
	tellStory(w)
	if s := w.server(); s.Status.State != metal.StateAvailable || s.Spec.Record.Wipe.Generation != 1 {
		t.Errorf("state %s, %+v", s.Status.State, s.Spec.Record.Wipe)
	}
	if n := len(w.plane.orders); n > 2 || slices.Contains(w.plane.orders, lifecycle.EnsurePowerOff) {
		t.Errorf("orders %v; want at most one repeated ensure", w.plane.orders)
	}
	return w.effects
}

// TestEraseRecordInTheWay: what stands in the place of an erase record is told to people, and keeps the server from Available until it is gone.
func TestEraseRecordInTheWay(t *testing.T) {
	w := newWorld(t, "forged", withBMC("forged"))
	at := metav1.NewTime(w.now.Truncate(time.Second))
	id := metal.DiskID{WWID: "eui.f", Serial: "F"}
	w.settle()
	s := w.server()
	s.Spec.Record.Boot = &metal.BootRecord{ID: "b1", Phase: metal.BootClaimed, StartedAt: at, At: at, Deadline: at, ClaimedAt: &at, Claimant: "k1"}
	s.Spec.Record.Wipe = &metal.WipeRecord{
		ID: "w1", Level: metal.WipeClear, Disks: []metal.DiskID{id}, GrantedAt: at, Generation: 1, BootID: "b1",
		Receipt: &metal.WipeReceipt{Generation: 1, At: at, Disks: []metal.DiskReceipt{{DiskID: id, Reached: metal.WipeClear, BlocksRead: 9}}},
	}
	must(w, newClient(t, w.config()).Update(t.Context(), s))
	w.now = w.now.Add(5 * time.Second) // the machine is off since the receipt
	forged := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: erase.Name(w.name, "w1")}}
	must(w, w.admin.Create(t.Context(), forged))
	if _, err := w.reconcile(); err == nil || !slices.Contains(w.events, reasons.EraseNotKept) {
		t.Errorf("%v, events %v", err, w.events)
	}
	must(w, w.admin.Delete(t.Context(), forged))
	if _, err := w.reconcile(); err != nil {
		t.Errorf("control: once it is gone: %v", err)
	}
	must(w, w.admin.Get(t.Context(), client.ObjectKeyFromObject(forged), forged))
	must(w, w.admin.Delete(t.Context(), forged))
}

// tellStory leads a server from its first sighting to Available. The test is the machine, its agent and the person.
func tellStory(w *world) {
	w.t.Helper()
	disk := metal.Disk{Name: "nvme0n1", Transport: "nvme", WWID: "eui." + w.name, Serial: "N-" + w.name, Contents: metal.DiskData}
	id := metal.DiskID{WWID: disk.WWID, Serial: disk.Serial}
	hardware := metal.ServerInventorySpec{Disks: []metal.Disk{disk}, System: metal.SystemInfo{Serial: "SN"}}
	must(w, w.desk().Inventory(w.t.Context(), lifecycle.Caller{BootID: "early", Key: "stranger"}, w.name, hardware))
	w.until("disks judged", func(s *metal.Server) bool { return len(s.Status.Disks) == 1 && s.Status.Disks[0].NeedsConfirmation })

	w.accept(id)
	s := w.until("an expected boot", func(s *metal.Server) bool {
		return s.Spec.Record.Boot != nil && s.Spec.Record.Boot.Phase == metal.BootBooting && s.Status.Boot.Target == metal.BootTargetAgent
	})
	c := lifecycle.Caller{BootID: s.Status.Boot.ID, Key: "first"}
	if level, err := w.desk().Claim(w.t.Context(), w.name, c); err != nil || level != 1 {
		w.t.Fatalf("claim: level %d, %v", level, err)
	}
	must(w, w.desk().Inventory(w.t.Context(), c, w.name, hardware))
	w.until("a grant", func(s *metal.Server) bool { return s.Spec.Record.Wipe != nil })
	task, err := w.desk().Task(w.t.Context(), c, w.name)
	if err != nil || task.Kind != lifecycle.TaskWipe || !slices.Equal(task.Grant.Disks(), []metal.DiskID{id}) {
		w.t.Fatalf("task %+v, %v", task, err)
	}
	w.work(c, task.Grant)
	w.leave(c, task.Grant)
}

// work reports progress, then the receipt.
func (w *world) work(c lifecycle.Caller, g lifecycle.WipeGrant) {
	w.t.Helper()
	told := desk.Report{ID: g.ID(), Generation: g.Generation(), Progress: []metal.DiskProgress{{Serial: g.Disks()[0].Serial, Phase: "NVMeFormat", Percent: 40}}}
	w.until("progress", func(s *metal.Server) bool {
		must(w, w.desk().Report(w.t.Context(), c, w.name, told)) // again after a death, as agents do
		return s.Status.Wipe != nil && s.Status.Wipe.Disks[0].Percent == 40
	})
	row := metal.DiskReceipt{DiskID: g.Disks()[0], Methods: []string{"NVMeFormat"}, Reached: g.Level(), BlocksRead: 1200, Seconds: 3}
	must(w, w.desk().Report(w.t.Context(), c, w.name, desk.Report{ID: g.ID(), Generation: g.Generation(), Receipt: &metal.WipeReceipt{Disks: []metal.DiskReceipt{row}}}))
}

// leave switches the machine off as its agent is told, and checks the erase record, which is signed after that and no sooner.
func (w *world) leave(c lifecycle.Caller, g lifecycle.WipeGrant) {
	w.t.Helper()
	if task, err := w.desk().Task(w.t.Context(), c, w.name); err != nil || task.Kind != lifecycle.TaskPowerOff {
		w.t.Fatalf("after the receipt: %+v, %v", task, err)
	}
	w.until("nothing while it runs", func(s *metal.Server) bool {
		return meta.IsStatusConditionPresentAndEqual(s.Status.Conditions, reasons.Clean, metav1.ConditionFalse)
	})
	key := client.ObjectKey{Namespace: metal.SystemNamespace, Name: erase.Name(w.name, erase.Turn(g.ID(), g.Generation()))}
	var kept corev1.ConfigMap
	if err := w.admin.Get(w.t.Context(), key, &kept); !apierrors.IsNotFound(err) {
		w.t.Errorf("an erase record of a machine that has proven nothing: %v", err)
	}
	w.plane.on = false
	w.until("Available", func(s *metal.Server) bool { return s.Status.State == metal.StateAvailable })
	must(w, w.admin.Get(w.t.Context(), key, &kept))
	r, err := erase.Verify([]byte(kept.Data[erase.EnvelopeField]), w.signer.PublicKey())
	if err != nil || !r.Clean() || r.Wipe.AcceptRequest != "gesture" || r.System.Serial != "SN" {
		w.t.Errorf("erase record %+v, %v", r, err)
	}
	must(w, w.admin.Delete(w.t.Context(), &kept)) // so that tests do not meet
}

// accept is the gesture.
func (w *world) accept(disks ...metal.DiskID) {
	w.t.Helper()
	s := w.server()
	s.Spec.Accepted = true
	s.Spec.AcceptRequest = &metal.AcceptRequest{ID: "gesture", WipeData: disks, RequestedAt: metav1.NewTime(w.now)}
	must(w, w.admin.Update(w.t.Context(), s))
}

// until reconciles every four seconds until the Server is as awaited; a death is followed by a restart.
func (w *world) until(what string, done func(*metal.Server) bool) *metal.Server {
	w.t.Helper()
	for range 200 {
		if s := w.server(); done(s) {
			return s
		}
		w.now = w.now.Add(4 * time.Second)
		_, err := w.reconcile()
		switch {
		case errors.Is(err, errCrash), w.plane.died:
			w.restart()
		case err != nil:
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("%s: never; the Server is %+v", what, w.server())
	return nil
}

// desk is where this world's agent speaks.
func (w *world) desk() *desk.Desk {
	if w.live == nil {
		w.live = newClient(w.t, w.config())
	}
	return &desk.Desk{Client: w.live, Live: w.live, Sightings: w.memory, Events: w, Installation: "here", Now: func() time.Time { return w.now }}
}

func must(w *world, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
