package lifecycle_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestMain lets every property try more than rapid's hundred observations, since one decision is cheap.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("2000")
		_ = flag.Set("rapid.nofailfile", "true") // a seed says it all
	}
	os.Exit(m.Run())
}

// conditionTypes in the order in which Decide sets them.
var conditionTypes = []string{
	reasons.IdentityUnique, reasons.Registered, reasons.BMCReachable, reasons.Clean, reasons.PowerReady, reasons.BootExpected, reasons.Provisioned, reasons.Released, reasons.Schedulable, reasons.Ready,
}

// wantConditions are those of a plan: two are there only with a release, or a claim.
func wantConditions(o lifecycle.Observation, p lifecycle.Plan) []string {
	r := after(o, p)
	return slices.DeleteFunc(slices.Clone(conditionTypes), func(typ string) bool {
		switch typ {
		case reasons.Provisioned:
			return r.Claim == nil
		case reasons.Released:
			foreign := p.Boot.Target == metal.BootTargetNoAnswer
			return foreign || r.Release == nil && (r.Claim == nil || r.Claim.BoundAt == nil || !o.Claim.Found || !o.Claim.Deleting)
		}
		return false
	})
}

// TestTotalAndDeterministic: every observation has a full answer, the same one twice, and is left as it was.
func TestTotalAndDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		before := clone(o)
		c := lifecycle.Caller{BootID: bootIDs.Draw(t, "callerBoot"), Key: keys.Draw(t, "callerKey")}
		p, again := lifecycle.Decide(o), lifecycle.Decide(o)
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("two answers: %+v and %+v", p, again)
		}
		if one, two := lifecycle.HandOut(o, c), lifecycle.HandOut(o, c); !reflect.DeepEqual(one, two) || one.Kind == "" || one.Reason == "" || one.Message == "" {
			t.Fatalf("not a full task, or two: %+v and %+v", one, two)
		}
		_, verdict := lifecycle.ClaimBoot(o.Server, c, o.Now)
		lifecycle.VoidBoot(o.Server, c.BootID, reasons.BootVoided, o.Now)
		scribble(p.Record)
		if !reflect.DeepEqual(before.Server, o.Server) || !reflect.DeepEqual(before.Inventory, o.Inventory) || verdict == "" {
			t.Fatal("the input was changed, or the plan points into it")
		}
		if p.State == "" || p.Boot.Target == "" || p.Power == nil || p.After < 0 {
			t.Fatalf("not a full answer: %+v", p)
		}
		types := wantConditions(o, p)
		if len(p.Conditions) != len(types) {
			t.Fatalf("other conditions than %v: %+v", types, p)
		}
		for i, c := range p.Conditions {
			if c.Type != types[i] || c.Reason == "" || c.Message == "" || c.Status == "" {
				t.Fatalf("not a full condition, or not in its place: %+v", c)
			}
		}
	})
	if p := lifecycle.Decide(lifecycle.Observation{}); !reflect.DeepEqual(p, lifecycle.Plan{}) {
		t.Errorf("no Server, and still a plan: %+v", p)
	}
	if task := lifecycle.HandOut(lifecycle.Observation{}, lifecycle.Caller{}); task.Kind != lifecycle.TaskDenied {
		t.Errorf("no Server, and still a task: %+v", task)
	}
}

// scribble writes over everything in a planned record that could point into the input.
func scribble(r *metal.ServerRecord) {
	if r == nil {
		return
	}
	if r.Acceptance != nil {
		for i := range r.Acceptance.Disks {
			r.Acceptance.Disks[i].WWID = "scribble"
		}
	}
	if r.Wipe != nil {
		for i := range r.Wipe.Disks {
			r.Wipe.Disks[i].WWID = "scribble"
		}
		r.Wipe.ID = "scribble"
	}
	if r.Boot != nil {
		r.Boot.ID = "scribble"
	}
}

// switches says that an action changes the power of a machine.
func switches(a lifecycle.Action) bool {
	return a.Kind == lifecycle.EnsurePowerOff || a.Kind == lifecycle.EnsureShutdown || a.Kind == lifecycle.EnsurePowerOn || a.Kind == lifecycle.EnsurePowerOnFromNetwork
}

// after is the record once the plan is carried out, never nil.
func after(o lifecycle.Observation, p lifecycle.Plan) *metal.ServerRecord {
	switch {
	case p.Record != nil:
		return p.Record
	case o.Server.Spec.Record != nil:
		return o.Server.Spec.Record
	}
	return &metal.ServerRecord{}
}

// TestForeign: nothing is done, recorded, answered or handed out for a server that another installation manages, or while we do not know who we are.
func TestForeign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		o.Server.Spec.Record = records().Draw(t, "record")
		o.Server.Spec.Record.ManagedBy = &metal.ManagedBy{Installation: "elsewhere", Epoch: 3}
		if yes.Draw(t, "nameless") {
			o.Installation = ""
		}
		p := lifecycle.Decide(o)
		if p.Action.Kind != lifecycle.NoAction || p.Record != nil || p.Granted || p.Boot.Target != metal.BootTargetNoAnswer {
			t.Fatalf("acts on a foreign server: %+v", p)
		}
		if task := lifecycle.HandOut(o, claimant(o)); task.Kind != lifecycle.TaskDenied {
			t.Fatalf("hands out to a foreign server: %+v", task)
		}
	})
}

// claimant is the caller that the record's boot belongs to.
func claimant(o lifecycle.Observation) lifecycle.Caller {
	if r := o.Server.Spec.Record; r != nil && r.Boot != nil {
		return lifecycle.Caller{BootID: r.Boot.ID, Key: r.Boot.Claimant}
	}
	return lifecycle.Caller{BootID: "b1", Key: "k1"}
}

// TestLostStatus: without status there is no grant, no task and no action that a recorded step does not call for; and the record goes the same way,
// but for a wipe that is given up sooner, and then only begins again.
func TestLostStatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		lost := clone(o)
		lost.Server.Status = metal.ServerStatus{}
		with, without := lifecycle.Decide(o), lifecycle.Decide(lost)
		if with.Granted != without.Granted || !reflect.DeepEqual(lifecycle.HandOut(o, claimant(o)), lifecycle.HandOut(lost, claimant(lost))) {
			t.Fatalf("status permitted something: %+v and %+v", with, without)
		}
		r := after(lost, without)
		sooner := r.Boot != nil && r.Boot.Phase == metal.BootVoid && r.Boot.Reason == reasons.WipeTimeout
		if !sooner && (!reflect.DeepEqual(with.Record, without.Record) || !reflect.DeepEqual(with.Boot, without.Boot) || with.State != without.State) {
			t.Fatalf("status decided something: %+v and %+v", with, without)
		}
		if switches(without.Action) && !called(r, without.Action) {
			t.Fatalf("an action without a recorded step: %+v", without)
		}
	})
}

// called says that a step which is recorded as running calls for the action.
func called(r *metal.ServerRecord, a lifecycle.Action) bool {
	if w := r.Power; w != nil && (w.Step == metal.PowerSwitchingOn || w.Step == metal.PowerSwitchingOff) && strings.HasPrefix(a.ID, w.ID+"."+string(w.Step)+".") {
		return true
	}
	if givingBack(r, a) {
		return true
	}
	b := r.Boot
	return b != nil && (b.Phase == metal.BootSwitchingOff || b.Phase == metal.BootSwitchingOn) && strings.HasPrefix(a.ID, b.ID+"."+string(b.Phase)+".")
}

// asked says that a person's running power request calls for the action.
func asked(o lifecycle.Observation, r *metal.ServerRecord) bool {
	q, w := o.Server.Spec.PowerRequest, r.Power
	return q != nil && w != nil && q.ID == w.ID && (w.Step == metal.PowerSwitchingOn || w.Step == metal.PowerSwitchingOff)
}

// givingBack says that a recorded release calls for the action: the machine is to be off.
func givingBack(r *metal.ServerRecord, a lifecycle.Action) bool {
	f := r.Release
	if f == nil || f.OffAt != nil || r.Claim == nil {
		return false
	}
	return a.Kind == lifecycle.EnsurePowerOff && strings.HasPrefix(a.ID, f.BindingID+".PowerOff.") || a.Kind == lifecycle.EnsureShutdown && strings.HasPrefix(a.ID, f.BindingID+".Shutdown.")
}

// TestUnaccepted: nobody switches a server that is not accepted, but a person; it gets no grant, no acceptance and no wipe.
func TestUnaccepted(t *testing.T) {
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		o.Server.Spec.Accepted = false
		p := lifecycle.Decide(o)
		r := after(o, p)
		if switches(p.Action) {
			seen++
			if !asked(o, r) && !givingBack(r, p.Action) {
				t.Fatalf("switched without a request: %+v", p)
			}
		}
		old := o.Server.Spec.Record
		foreign := o.Installation == "" || old != nil && old.ManagedBy != nil && old.ManagedBy.Installation != o.Installation
		if p.Granted || r.Acceptance != nil && r.Claim == nil && !foreign || lifecycle.HandOut(o, claimant(o)).Kind == lifecycle.TaskWipe {
			t.Fatalf("not accepted, and still: %+v", p)
		}
	})
	if seen == 0 {
		t.Error("control: no request was ever carried out")
	}
}

// toldOfLife says that the workload of the record's binding told after a moment that it runs.
func toldOfLife(o lifecycle.Observation, then time.Time) bool {
	r := o.Server.Spec.Record
	return r.Claim != nil && r.Claim.BoundAt != nil && r.Installed != nil && r.Installed.BindingID == r.Claim.BindingID && o.Claim.Bound && o.Claim.Alive.After(then) && !o.Claim.Alive.After(o.Now)
}

// TestRestored: a record that came from a backup begins nothing: no grant, no task, and no switching but what a person asked for afterwards.
func TestRestored(t *testing.T) {
	ended := 0
	rapid.Check(t, func(t *rapid.T) {
		o := permitted().Draw(t, "o")
		if often.Draw(t, "blank") && o.Inventory != nil {
			o.Inventory = o.Inventory.DeepCopy()
			for i := range o.Inventory.Disks {
				o.Inventory.Disks[i].Contents = metal.DiskBlank
			}
		}
		since := times(t, "restoredAt")
		o.Server.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: since}
		if q := o.Server.Spec.AcceptRequest; q != nil && !q.RequestedAt.Time.Before(since.Time) {
			o.Server.Spec.AcceptRequest = nil
		}
		p := lifecycle.Decide(o)
		r := after(o, p)
		if lifecycle.HandOut(o, claimant(o)).Kind == lifecycle.TaskWipe {
			t.Fatal("a task out of a backup")
		}
		later := o.Server.Spec.Record.Boot != nil && !o.Server.Spec.Record.Boot.StartedAt.Time.Before(since.Time) // a person asked for it
		if r.Unverified == nil {                                                                                  // only blank disks in such a boot end it, or a workload that tells that it runs
			if toldOfLife(o, since.Time) {
				return
			}
			if err := blankBoot(o, asGranted(o, r)); err != nil || !later {
				t.Fatalf("the doubt is gone, though %v, boot later %v: %+v", err, later, p)
			}
			ended++
			return
		}
		if p.Granted || r.Wipe != nil && o.Server.Spec.Record.Wipe != nil && r.Wipe.Generation != o.Server.Spec.Record.Wipe.Generation {
			t.Fatalf("a grant out of a backup: %+v", p)
		}
		gaveUp := givingBack(r, p.Action) && !r.Release.At.Time.Before(since.Time) // by a person, since a claim alone begins no release here
		if switches(p.Action) && !asked(o, r) && !later && !gaveUp {
			t.Fatalf("switched out of a backup: %+v", p)
		}
	})
	if ended == 0 {
		t.Error("control: no evidence ever ended the doubt")
	}
}

// TestSettledStaysSettled: a request whose id is recorded as settled never switches anything again, whatever else is so.
func TestSettledStaysSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		o.Server.Spec.Accepted = false
		step := rapid.SampledFrom([]metal.PowerStep{metal.PowerDone, metal.PowerExpired, metal.PowerFailed}).Draw(t, "settled")
		o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "r1", Action: metal.PowerActionCycle, RequestedAt: times(t, "at")}
		o.Server.Spec.Record = &metal.ServerRecord{Power: &metal.PowerRecord{ID: "r1", Step: step, At: times(t, "stepAt")}}
		p := lifecycle.Decide(o)
		if switches(p.Action) || p.Record != nil && p.Record.Power.Step != step {
			t.Fatalf("a settled request went on: %+v", p)
		}
	})
}

// TestPace: two commands to one BMC are ten seconds apart, by memory or by status, and none goes to a BMC that may not get it.
func TestPace(t *testing.T) {
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		if often.Draw(t, "likely") { // most observations call for no command at all
			o.Installation, o.Server.Spec.Record = "here", nil
			o.Server.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "secret"}
			o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "r1", Action: metal.PowerActionOn, RequestedAt: metav1.NewTime(o.Now)}
		}
		p := lifecycle.Decide(o)
		if !switches(p.Action) {
			return
		}
		seen++
		for _, at := range []time.Time{o.Power.CommandAt, since(o.Server)} {
			if age := o.Now.Sub(at); age >= 0 && age < 10*time.Second {
				t.Fatalf("a command %s after the last", age)
			}
		}
		if o.Server.Spec.BMC == nil || o.Power.Reason == reasons.CredentialsMissing || o.Power.Reason == reasons.BMCCertificateChanged {
			t.Fatal("a command to a BMC that cannot get it")
		}
	})
	if seen == 0 {
		t.Error("control: no observation led to a command")
	}
}

func since(s *metal.Server) time.Time {
	if s.Status.PendingAction == nil {
		return time.Time{}
	}
	return s.Status.PendingAction.Since.Time
}

// TestFixpoint: plans carried out come to rest in a few steps, and then nothing changes any more, so an idle server costs nothing.
func TestFixpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{o: observations().Draw(t, "o")}
		var p lifecycle.Plan
		for i := range 8 {
			w.o.NewID = fmt.Sprintf("new%d", i)
			p = lifecycle.Decide(w.o)
			w.carryOut(p)
		}
		w.o.NewID = "last"
		last := lifecycle.Decide(w.o)
		if switches(last.Action) || last.Record != nil {
			t.Fatalf("does not come to rest: %+v", last)
		}
		if !reflect.DeepEqual(p.Conditions, last.Conditions) || !reflect.DeepEqual(p.Power, last.Power) || len(last.Events) > 0 {
			t.Fatalf("status keeps changing:\n%+v\n%+v", p, last)
		}
	})
}

// TestPowerAge: a reading of the same state is shown anew in time for the promise of five minutes, and not at every poll.
func TestPowerAge(t *testing.T) {
	w := newWorld()
	_ = w.do(nil, "bmc", nil)
	writes, worst := 0, time.Duration(0)
	for range 360 { // an hour, decided every ten seconds, with a BMC read each minute
		if w.o.Now.Sub(epoch)%time.Minute == 0 {
			w.read("On")
		}
		before := w.o.Server.Status.Power
		w.carryOut(lifecycle.Decide(w.o))
		if !reflect.DeepEqual(before, w.o.Server.Status.Power) {
			writes++
		}
		worst = max(worst, w.o.Now.Sub(w.o.Server.Status.Power.ObservedAt.Time))
		w.o.Now = w.o.Now.Add(10 * time.Second)
	}
	if worst > 5*time.Minute || writes > 16 {
		t.Errorf("the shown reading got %s old with %d writes in an hour", worst, writes)
	}
}
