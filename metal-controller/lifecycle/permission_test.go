package lifecycle_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// The rules of DESIGN section 3 once more, written down without a look at the code, as the oracle of what follows.

// mayErase says why nothing on this server may be erased under the record.
func mayErase(o lifecycle.Observation, r *metal.ServerRecord) error {
	_, paused := o.Server.Annotations[lifecycle.PausedAnnotation]
	switch {
	case o.Installation == "" || r.ManagedBy == nil || r.ManagedBy.Installation != o.Installation:
		return errors.New("another installation manages it")
	case !o.Server.Spec.Accepted || r.Acceptance == nil:
		return errors.New("nobody accepted it")
	case r.Unverified != nil:
		return errors.New("the record comes from a backup")
	case r.Claim != nil:
		return errors.New("a workload owns it")
	case r.Quarantine != nil:
		return errors.New("it is quarantined")
	case paused || o.DryRun:
		return errors.New("it is paused, or this is a dry run")
	case r.Wipe != nil && r.Wipe.VerifiedAt != nil:
		return errors.New("it is clean")
	}
	if slices.ContainsFunc(o.ConflictsWith, func(other string) bool { return other != o.Server.Name }) {
		return errors.New("another Server has its identity")
	}
	if err := provenBoot(o, r); err != nil {
		return err
	}
	return disksCovered(o, r)
}

// provenBoot says why trust level 1 is not there.
func provenBoot(o lifecycle.Observation, r *metal.ServerRecord) error {
	b := r.Boot
	switch {
	case b == nil || b.Phase != metal.BootClaimed || b.ClaimedAt == nil || b.Target == metal.BootTargetOS || b.BindingID != "":
		return errors.New("no expected boot is claimed")
	case o.Inventory == nil || b.ID == "" || o.Inventory.Agent.BootID != b.ID || o.Inventory.Agent.Proven < 1:
		return errors.New("the inventory is not from that boot")
	case o.Now.Sub(b.ClaimedAt.Time).Abs() < 15*time.Second:
		return errors.New("the claim did not settle")
	}
	return nil
}

// ownDisks are the server's own (rule 3); blocked ones are nobody's, and nobody named them as ignored.
func ownDisks(o lifecycle.Observation) (own []metal.Disk, blocked int) {
	count := map[string]int{}
	for _, d := range o.Inventory.Disks {
		count[d.WWID]++
	}
	attached := []string{"nvme", "sata", "sas", "scsi", "raid", "mmc", "virtio"}
	for _, d := range o.Inventory.Disks {
		ignored := false
		for _, s := range o.Server.Spec.IgnoredDisks {
			ignored = ignored || s != (metal.DiskSelector{}) && (s.WWID == "" || s.WWID == d.WWID) && (s.Serial == "" || s.Serial == d.Serial) && (s.Transport == "" || s.Transport == d.Transport)
		}
		switch {
		case ignored:
		case d.WWID != "" && slices.Contains(attached, d.Transport) && !d.Removable && !d.ReadOnly && count[d.WWID] == 1 && o.Elsewhere[d.WWID] == "":
			own = append(own, d)
		default:
			blocked++
		}
	}
	return own, blocked
}

func named(list []metal.DiskID, d metal.Disk) bool {
	return slices.ContainsFunc(list, func(id metal.DiskID) bool { return id.WWID == d.WWID && (id.Serial == "" || id.Serial == d.Serial) })
}

func disksCovered(o lifecycle.Observation, r *metal.ServerRecord) error {
	own, blocked := ownDisks(o)
	if blocked > 0 || len(own) == 0 {
		return errors.New("there are disks that are not its own, or none at all")
	}
	for _, d := range own {
		given := r.Release != nil && r.Release.OffAt != nil && named(r.Release.Disks, d) // the workload had it, and gave it back
		if d.Contents != metal.DiskBlank && !named(r.Acceptance.Disks, d) && !given {
			return fmt.Errorf("nobody confirmed the data on %s", d.WWID)
		}
	}
	return nil
}

// blankBoot says why the server did not prove itself free of data in a boot that we started.
func blankBoot(o lifecycle.Observation, r *metal.ServerRecord) error {
	bare := r.DeepCopy()
	bare.Acceptance, bare.Unverified, bare.Wipe, bare.Quarantine, bare.Release = &metal.AcceptanceRecord{}, nil, nil, nil, nil
	return mayErase(o, bare)
}

// covers says that a grant names exactly the server's own disks.
func exactly(o lifecycle.Observation, disks []metal.DiskID) bool {
	own, _ := ownDisks(o)
	if len(own) != len(disks) {
		return false
	}
	for _, d := range own {
		if !named(disks, d) {
			return false
		}
	}
	return true
}

// TestGrants: a grant is recorded only where the rules permit it, for exactly the server's own disks, within the budget.
func TestGrants(t *testing.T) {
	first, next := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		o := permitted().Draw(t, "o")
		p := lifecycle.Decide(o)
		old, r := o.Server.Spec.Record.Wipe, after(o, p)
		granted := r.Wipe != nil && (old == nil || old.ID != r.Wipe.ID || old.Generation != r.Wipe.Generation || old.BootID != r.Wipe.BootID)
		fresh := granted && (old == nil || old.ID != r.Wipe.ID)
		if p.Granted != fresh {
			t.Fatalf("Granted is %v and the record went from %+v to %+v", p.Granted, old, r.Wipe)
		}
		if !granted {
			return
		}
		if err := mayErase(o, asGranted(o, r)); err != nil {
			t.Fatalf("a grant, though %v: %+v", err, p)
		}
		if !exactly(o, r.Wipe.Disks) || r.Wipe.BootID != asGranted(o, r).Boot.ID || r.Wipe.Receipt != nil || r.Wipe.VerifiedAt != nil {
			t.Fatalf("not a grant for the disks of this boot: %+v", r.Wipe)
		}
		if fresh {
			first++
			if o.Budget.Granted >= o.Budget.Limit || r.Wipe.ID != o.NewID || r.Wipe.Generation != 1 || r.Wipe.Level != levelOf(r) {
				t.Fatalf("not a first grant within the budget: %+v", r.Wipe)
			}
			return
		}
		next++
		if r.Wipe.Generation != old.Generation+1 || r.Wipe.Level != old.Level || !r.Wipe.GrantedAt.Equal(&old.GrantedAt) {
			t.Fatalf("not the next generation: from %+v to %+v", old, r.Wipe)
		}
	})
	if first == 0 || next == 0 {
		t.Errorf("control: %d first grants and %d more were seen", first, next)
	}
}

// levelOf is what a first grant must reach.
func levelOf(r *metal.ServerRecord) metal.WipeLevel {
	if r.Release != nil {
		return r.Release.Level
	}
	return r.Acceptance.Level
}

// asGranted is the record as the grant saw it: a boot may have ended later in the same decision, which keeps the grant from being handed out. A gesture
// ends the boot of an earlier grant before; without one there is none to end.
func asGranted(o lifecycle.Observation, r *metal.ServerRecord) *metal.ServerRecord {
	old, q := o.Server.Spec.Record, o.Server.Spec.AcceptRequest
	gesture := old.Wipe != nil && q != nil && old.AcceptRequest != q.ID && r.Acceptance != nil && r.Acceptance.RequestID == q.ID
	if gesture || old.Quarantine != nil && old.Quarantine.Reason == reasons.WipeFailed && r.Quarantine == nil {
		return r
	}
	r = r.DeepCopy()
	r.Boot = old.Boot
	return r
}

// TestHandOut: a wipe goes out only to the claimant, only if the rules permit it now, and only as the record has it.
func TestHandOut(t *testing.T) {
	seen, off := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		o := permitted().Draw(t, "o")
		c := lifecycle.Caller{BootID: bootIDs.Draw(t, "callerBoot"), Key: keys.Draw(t, "callerKey")}
		if often.Draw(t, "theClaimant") {
			c = claimant(o)
		}
		task, r := lifecycle.HandOut(o, c), o.Server.Spec.Record
		if task.Kind == lifecycle.TaskPowerOff {
			off++
			if err := goodReceipt(r.Wipe); err != nil || !isClaimant(r, c) || r.Wipe.BootID != c.BootID {
				t.Fatalf("told to switch off: %v", err)
			}
		}
		if task.Kind != lifecycle.TaskWipe {
			if !reflect.DeepEqual(task.Grant, lifecycle.WipeGrant{}) {
				t.Fatalf("a grant without a wipe: %+v", task)
			}
			return
		}
		seen++
		if err := mayErase(o, r); err != nil {
			t.Fatalf("a wipe, though %v", err)
		}
		if !isClaimant(r, c) {
			t.Fatal("a wipe for somebody else")
		}
		g, w := task.Grant, r.Wipe
		if w == nil || g.ID() != w.ID || g.Generation() != w.Generation || g.Level() != w.Level || !reflect.DeepEqual(g.Disks(), w.Disks) || w.BootID != c.BootID {
			t.Fatalf("the grant %+v is not the recorded %+v", g, w)
		}
		if !exactly(o, g.Disks()) || w.Receipt != nil && w.Receipt.Generation == w.Generation {
			t.Fatalf("the grant is not for what is there and open: %+v", w)
		}
	})
	if seen == 0 || off == 0 {
		t.Errorf("control: %d wipes and %d switches-off were handed out", seen, off)
	}
}

func isClaimant(r *metal.ServerRecord, c lifecycle.Caller) bool {
	b := r.Boot
	return b != nil && b.Phase == metal.BootClaimed && c.Key != "" && c.Key == b.Claimant && c.BootID == b.ID
}

// permitted draws observations in which nearly everything permits a wipe, so that each single obstacle is met often.
func permitted() *rapid.Generator[lifecycle.Observation] {
	return rapid.Custom(func(t *rapid.T) lifecycle.Observation {
		o := observations().Draw(t, "any")
		r := &metal.ServerRecord{}
		if o.Server.Spec.Record != nil {
			r = o.Server.Spec.Record
		}
		o.Server.Spec.Record = r
		good := ready().o
		mend := func(name string, f func()) {
			if rapid.IntRange(0, 15).Draw(t, name) > 0 {
				f()
			}
		}
		mend("spec", func() {
			o.Server.Spec.Accepted, o.Server.Annotations, o.Server.Spec.QuarantineRequest, o.DryRun, o.ConflictsWith = true, nil, nil, false, nil
		})
		mend("gesture", func() { o.Server.Spec.AcceptRequest = nil })
		mend("installation", func() { o.Installation, r.ManagedBy = "here", good.Server.Spec.Record.ManagedBy })
		mend("obstacles", func() { r.Claim, r.Unverified, r.Quarantine, r.Release = nil, nil, nil, nil })
		mend("boot", func() { r.Boot = good.Server.Spec.Record.Boot })
		mend("inventory", func() { o.Inventory = good.Inventory })
		mend("acceptance", func() { r.Acceptance = good.Server.Spec.Record.Acceptance })
		if yes.Draw(t, "sameWipe") {
			mend("wipe", func() { r.Wipe = good.Server.Spec.Record.Wipe })
		}
		if r.Wipe != nil && seldom.Draw(t, "good") {
			r.Wipe.Receipt = &metal.WipeReceipt{Generation: r.Wipe.Generation, At: times(t, "goodAt")}
			for _, d := range r.Wipe.Disks {
				r.Wipe.Receipt.Disks = append(r.Wipe.Receipt.Disks, metal.DiskReceipt{DiskID: d, Reached: metal.WipePurge, BlocksRead: 1})
			}
		}
		return o
	})
}

// ready is a server whose wipe is granted and not handed out yet: a disk with data that a person confirmed, and a blank one.
func ready() *world { return &world{o: clone(played().o), ids: played().ids} }

var played = sync.OnceValue(func() *world {
	w := newWorld()
	for _, line := range [][]string{
		{"bmc"}, {"disk", "a", "nvme", "Data"}, {"disk", "b", "sata", "Blank"}, {"report"}, {"read", "On"}, {"decide"}, {"accept", "a1", "wipe-data"}, {"boots", "k1"},
	} {
		if err := w.do(new(bytes.Buffer), line[0], line[1:]); err != nil {
			panic(err)
		}
	}
	return w
})

// TestReceipts: a receipt that misses a disk or a level, names another generation, or contradicts itself never counts; and clean needs the machine's own proof as well.
func TestReceipts(t *testing.T) {
	published, verified := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		o := answered().Draw(t, "o")
		p := lifecycle.Decide(o)
		old, r := o.Server.Spec.Record.Wipe, after(o, p)
		if p.Action.Kind == lifecycle.PublishErase {
			published++
			off := o.Power.Reason == reasons.BMCAnswers && o.Power.State == metal.PowerOff && o.Power.At.After(old.Receipt.At.Add(time.Second))
			if err := goodReceipt(old); err != nil || p.Action.ID != old.ID || !off || o.Erased == old.ID {
				t.Fatalf("an erase record, though %v, off after the receipt %v", err, off)
			}
		}
		if r.Wipe == nil || r.Wipe.VerifiedAt == nil || old.VerifiedAt != nil {
			return
		}
		verified++
		told := old.Receipt.At.Add(time.Second) // whatever the fraction was that the API dropped
		switch err := goodReceipt(old); {
		case err != nil:
			t.Fatalf("clean, though %v", err)
		case o.Power.Reason != reasons.BMCAnswers || o.Power.State != metal.PowerOff || !o.Power.At.After(told):
			t.Fatalf("clean, though the BMC did not read off after the receipt: %+v", o.Power)
		case o.Erased != old.ID:
			t.Fatal("clean without an erase record")
		case r.Power != nil && r.Power.Step != metal.PowerExpired && !r.Power.At.Time.Before(told) && !r.Power.At.After(o.Now.Add(time.Second)):
			t.Fatal("clean, though a person may have switched it off")
		case old.BootID != o.Server.Spec.Record.Boot.ID:
			t.Fatal("clean by the receipt of another boot")
		}
	})
	if published == 0 || verified == 0 {
		t.Errorf("control: %d erase records and %d clean servers were seen", published, verified)
	}
}

// answered draws servers whose agent sent a receipt.
func answered() *rapid.Generator[lifecycle.Observation] {
	return rapid.Custom(func(t *rapid.T) lifecycle.Observation {
		o := permitted().Draw(t, "permitted")
		r := o.Server.Spec.Record
		good := ready().o.Server.Spec.Record
		if often.Draw(t, "theWipe") {
			r.Wipe = good.Wipe
			r.Wipe.Level = metal.WipeClear
			r.Wipe.Receipt = &metal.WipeReceipt{Generation: rapid.SampledFrom([]int64{1, 1, 1, 2}).Draw(t, "generation"), At: times(t, "receivedAt"), Disks: receiptRows(t, r.Wipe.Disks)}
			if seldom.Draw(t, "twice") {
				r.Wipe.Receipt.Disks = append(r.Wipe.Receipt.Disks, receiptRows(t, r.Wipe.Disks)...)
			}
		}
		if r.Wipe == nil {
			r.Wipe = wipeRecords().Draw(t, "anyWipe")
		}
		if yes.Draw(t, "published") {
			o.Erased = r.Wipe.ID
		}
		if often.Draw(t, "off") && r.Wipe.Receipt != nil {
			o.Power.Reason, o.Power.State, o.Power.At = reasons.BMCAnswers, metal.PowerOff, r.Wipe.Receipt.At.Add(rapid.SampledFrom([]time.Duration{-time.Second, 0, time.Second, time.Minute, time.Minute, time.Minute}).Draw(t, "offAfter"))
		}
		if often.Draw(t, "nobodySwitched") {
			r.Power, o.Server.Spec.PowerRequest = nil, nil
		}
		return o
	})
}

// goodReceipt says why a receipt proves nothing.
func goodReceipt(w *metal.WipeRecord) error {
	if w == nil || w.Receipt == nil || w.Receipt.Generation != w.Generation || len(w.Disks) == 0 {
		return errors.New("there is no receipt of this generation for any disk")
	}
	strength := map[metal.WipeLevel]int{metal.WipeQuick: 1, metal.WipeClear: 2, metal.WipePurge: 3}
	for _, d := range w.Disks {
		rows := 0
		for _, row := range w.Receipt.Disks {
			if row.DiskID != d {
				continue
			}
			rows++
			if row.Error != "" || strength[row.Reached] == 0 || strength[row.Reached] < strength[w.Level] || row.BlocksRead <= 0 {
				return fmt.Errorf("the row of %v is bad", d)
			}
		}
		if rows == 0 {
			return fmt.Errorf("no row names %v", d)
		}
	}
	return nil
}
