package desk_test

import (
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// clean is a report with a good receipt.
func clean() desk.Report {
	return desk.Report{ID: "w1", Generation: 2, Receipt: &metal.WipeReceipt{
		Generation: 99, Firmware: "nothing to mend",
		Disks: []metal.DiskReceipt{{DiskID: metal.DiskID{WWID: "naa.1", Serial: "S1"}, Methods: []string{"Discard", "Overwrite"}, Reached: metal.WipeClear, BlocksRead: 1000}},
	}}
}

// TestReceipt: the first receipt of a generation counts, by our clock; a second one is acknowledged and changes nothing.
func TestReceipt(t *testing.T) {
	w := granted(t)
	if err := w.Report(t.Context(), owner, w.name, clean()); err != nil {
		t.Fatal(err)
	}
	got := w.server().Spec.Record.Wipe.Receipt
	if got == nil || got.Generation != 2 || !got.At.Time.Equal(w.now) || len(got.Disks) != 1 || got.Disks[0].Reached != metal.WipeClear {
		t.Fatalf("the receipt is %+v", got)
	}
	w.now = w.now.Add(time.Minute)
	w.unchanged("a second receipt", func() {
		for _, second := range []*metal.WipeReceipt{clean().Receipt, {}} {
			r := clean()
			r.Receipt = second
			if err := w.Report(t.Context(), owner, w.name, r); err != nil {
				t.Errorf("not acknowledged: %v", err)
			}
		}
	})
	w.expect("after a good receipt", owner, lifecycle.TaskPowerOff)
}

// TestForeignReports: only the boot that was given the task tells of it.
func TestForeignReports(t *testing.T) {
	w := granted(t)
	change := func(f func(*desk.Report)) desk.Report {
		r := clean()
		r.Progress = []metal.DiskProgress{{Serial: "S1", Phase: "Overwrite", Percent: 99}}
		f(&r)
		return r
	}
	for name, c := range map[string]struct {
		caller lifecycle.Caller
		report desk.Report
		err    error
	}{
		"another key":           {thief, change(func(*desk.Report) {}), desk.ErrNotBelieved},
		"an earlier boot":       {old, change(func(*desk.Report) {}), desk.ErrNotBelieved},
		"nobody":                {lifecycle.Caller{}, change(func(*desk.Report) {}), desk.ErrNotBelieved},
		"another task":          {owner, change(func(r *desk.Report) { r.ID = "w0" }), desk.ErrUnknownTask},
		"no task":               {owner, change(func(r *desk.Report) { r.ID = "" }), desk.ErrUnknownTask},
		"an earlier generation": {owner, change(func(r *desk.Report) { r.Generation = 1 }), desk.ErrUnknownTask},
		"a later generation":    {owner, change(func(r *desk.Report) { r.Generation = 3 }), desk.ErrUnknownTask},
	} {
		w.unchanged(name, func() {
			if err := w.Report(t.Context(), c.caller, w.name, c.report); !errors.Is(err, c.err) {
				t.Errorf("%s: %v; want %v", name, err, c.err)
			}
		})
		if p := w.Sightings.ProgressOf(w.name); p != nil {
			t.Errorf("%s: its progress is remembered: %+v", name, p)
		}
	}
	// A grant to an earlier boot is not the present claimant's to answer.
	w.edit(func(r *metal.ServerRecord) { r.Wipe.BootID = "b0" })
	if err := w.Report(t.Context(), owner, w.name, clean()); !errors.Is(err, desk.ErrUnknownTask) {
		t.Errorf("the task of an earlier boot: %v", err)
	}
	w.edit(func(r *metal.ServerRecord) { r.Wipe.BootID = "b1" })
	if err := w.Report(t.Context(), owner, w.name, change(func(*desk.Report) {})); err != nil {
		t.Errorf("control: %v", err)
	}
	if w.server().Spec.Record.Wipe.Receipt == nil || w.Sightings.ProgressOf(w.name) == nil {
		t.Error("control: nothing is remembered")
	}
}

// TestNoTask: a Server without a wipe knows no task, whoever asks.
func TestNoTask(t *testing.T) {
	w := newWorld(t, expecting(metal.BootClaimed))
	if err := w.Report(t.Context(), owner, w.name, clean()); !errors.Is(err, desk.ErrUnknownTask) {
		t.Errorf("the claimant: %v", err)
	}
	w = newWorld(t, nil)
	if err := w.Report(t.Context(), owner, w.name, clean()); !errors.Is(err, desk.ErrUnknownTask) {
		t.Errorf("an unproven boot: %v", err)
	}
	if err := w.Report(t.Context(), owner, "nobody", clean()); !errors.Is(err, desk.ErrGone) {
		t.Errorf("a Server that is not there: %v", err)
	}
}

// TestProgress costs no write.
func TestProgress(t *testing.T) {
	w := granted(t)
	w.unchanged("progress", func() {
		for p := range int32(3) {
			r := desk.Report{ID: "w1", Generation: 2, Progress: []metal.DiskProgress{{Serial: "S1", Phase: "Overwrite", Percent: 40 * p}}}
			if err := w.Report(t.Context(), owner, w.name, r); err != nil {
				t.Error(err)
			}
		}
	})
	if p := w.Sightings.ProgressOf(w.name); p == nil || p.ID != "w1" || p.Generation != 2 || p.Disks[0].Percent != 80 || !p.UpdatedAt.Time.Equal(w.now) {
		t.Errorf("%+v", p)
	}
}

// TestReceiptRace: a receipt that loses a race against the reconciler is written all the same, into what is there now.
func TestReceiptRace(t *testing.T) {
	w := granted(t)
	really := w.Client
	w.Client = &racing{Client: really, before: func(try int) {
		if try == 1 {
			s := w.server()
			s.Spec.Record.Boot.Attempt = 7
			if err := really.Update(t.Context(), s); err != nil {
				t.Error(err)
			}
		}
	}}
	if err := w.Report(t.Context(), owner, w.name, clean()); err != nil {
		t.Fatal(err)
	}
	if r := w.server().Spec.Record; r.Wipe.Receipt == nil || r.Boot.Attempt != 7 {
		t.Errorf("%+v", r)
	}
}

// TestInventory: it says which boot reported it and how far that boot is proven; only a boot that is believed replaces it.
func TestInventory(t *testing.T) {
	w := newWorld(t, expecting(metal.BootClaimed))
	stored := func() *metal.ServerInventory {
		var i metal.ServerInventory
		if err := w.Live.Get(t.Context(), client.ObjectKey{Name: w.name}, &i); err != nil {
			t.Fatal(err)
		}
		return &i
	}
	lie := hardware()
	lie.Agent.Proven, lie.Agent.BootID = 4, "b9"
	if err := w.Inventory(t.Context(), owner, w.name, lie); err != nil {
		t.Fatal(err)
	}
	first := stored()
	if a := first.Spec.Agent; a.Proven != 1 || a.BootID != "b1" || len(first.OwnerReferences) != 1 {
		t.Errorf("the claimant's: %+v %v", a, first.OwnerReferences)
	}
	w.now = w.now.Add(time.Minute)
	for name, c := range map[string]lifecycle.Caller{"another key": thief, "an earlier boot": old} {
		if err := w.Inventory(t.Context(), c, w.name, metal.ServerInventorySpec{}); !errors.Is(err, desk.ErrNotBelieved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Inventory(t.Context(), owner, w.name, hardware()); err != nil || stored().ResourceVersion != first.ResourceVersion {
		t.Errorf("the same again was written: %v", err)
	}
	w = newWorld(t, nil)
	if err := w.Inventory(t.Context(), old, w.name, lie); err != nil {
		t.Fatal(err)
	}
	if a := stored().Spec.Agent; a.Proven != 0 || a.BootID != "b0" {
		t.Errorf("an unproven one's: %+v", a)
	}
	if err := w.Inventory(t.Context(), old, "nobody", lie); !errors.Is(err, desk.ErrGone) {
		t.Errorf("a Server that is not there: %v", err)
	}
}
