package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestMoreDisksThanAreKept: an inventory that is as long as inventories get may have been cut, so nobody knows all disks of that machine. It is not wiped,
// and never called clean.
func TestMoreDisksThanAreKept(t *testing.T) {
	for n, whole := range map[int]bool{255: true, 256: false} {
		w := ready()
		r := w.record()
		w.o.Inventory.Disks, r.Wipe.Disks, r.Acceptance.Disks = nil, nil, nil
		for i := range n {
			d := metal.Disk{Name: "x", Transport: "sas", WWID: fmt.Sprintf("w-%d", i), Serial: fmt.Sprintf("S-%d", i), Contents: metal.DiskBlank}
			w.o.Inventory.Disks = append(w.o.Inventory.Disks, d)
			r.Wipe.Disks = append(r.Wipe.Disks, metal.DiskID{WWID: d.WWID, Serial: d.Serial})
		}
		task := lifecycle.HandOut(w.o, lifecycle.Caller{BootID: "n1", Key: "k1"})
		if (task.Kind == lifecycle.TaskWipe) != whole || !whole && (task.Reason != reasons.DisksBlocked || !strings.Contains(task.Message, "256")) {
			t.Errorf("%d disks: %s %s: %s", n, task.Kind, task.Reason, task.Message)
		}
		r.Wipe.VerifiedAt = r.Acceptance.At.DeepCopy()
		if p := lifecycle.Decide(w.o); (p.State == metal.StateAvailable) != whole {
			t.Errorf("%d disks, wiped: %s", n, p.State)
		}
	}
}

// TestOffByALateOrder: an order that was begun before the receipt and took effect after it is no act of the machine, also when the request that it came
// from was taken back meanwhile, so that the record shows nothing newer than the receipt.
func TestOffByALateOrder(t *testing.T) {
	for late, want := range map[bool]string{true: reasons.OffNotProven, false: ""} {
		w := ready()
		if err := receipt(w, nil, nil); err != nil {
			t.Fatal(err)
		}
		told := w.record().Wipe.Receipt.At
		w.record().Power = &metal.PowerRecord{ID: "p1", Step: metal.PowerFailed, At: told}
		w.o.Power.CommandAt = told.Add(-time.Minute)
		if late {
			w.o.Power.CommandAt = told.Add(5 * time.Second)
		}
		w.o.Now = told.Add(6 * time.Second)
		w.read("Off")
		p := lifecycle.Decide(w.o)
		if got := voided(p); got != want || !late && p.Action.Kind != lifecycle.PublishErase {
			t.Errorf("late %v: the boot ended with %q, action %q", late, got, p.Action.Kind)
		}
	}
}

// TestReceiptFromAClockAhead: a receipt that was dated by a clock that ran hours ahead lets nobody wait for hours; the boot ends, and the wipe is done again.
func TestReceiptFromAClockAhead(t *testing.T) {
	for ahead, want := range map[time.Duration]string{24 * time.Hour: reasons.OffNotProven, 2 * time.Minute: reasons.OffNotProven, 0: ""} {
		w := ready()
		if err := receipt(w, nil, nil); err != nil {
			t.Fatal(err)
		}
		w.record().Wipe.Receipt.At.Time = w.record().Wipe.Receipt.At.Add(ahead)
		w.o.Now = w.o.Now.Add(5 * time.Second)
		w.read("Off")
		if got := voided(lifecycle.Decide(w.o)); got != want {
			t.Errorf("%s ahead: the boot ended with %q, want %q", ahead, got, want)
		}
	}
}
