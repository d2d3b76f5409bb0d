package lifecycle_test

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// observations draws any observation, sensible or not.
func observations() *rapid.Generator[lifecycle.Observation] {
	return rapid.Custom(func(t *rapid.T) lifecycle.Observation {
		o := lifecycle.Observation{
			Now:          epoch.Add(time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "now"))),
			Installation: rapid.SampledFrom([]string{"here", "here", "here", ""}).Draw(t, "installation"),
			Server:       servers().Draw(t, "server"),
			Power:        readings().Draw(t, "power"),
		}
		if rapid.Bool().Draw(t, "registered") {
			o.Inventory = inventory(rapid.SliceOfN(rapid.SampledFrom([]string{"Blank", "Bootable", "Data", "Unreadable", "?"}), 0, 3).Draw(t, "disks"))
		}
		if rapid.Bool().Draw(t, "agent") {
			o.Agent = &lifecycle.AgentSession{BootID: "b"}
		}
		o.ConflictsWith = rapid.SliceOfN(rapid.SampledFrom([]string{"s1", "s2", "s3"}), 0, 3).Draw(t, "conflict")
		return o
	})
}

var ids = rapid.SampledFrom([]string{"r1", "r2"})

func times(t *rapid.T, name string) metav1.Time {
	return metav1.NewTime(epoch.Add(time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, name))).Truncate(time.Second))
}

func servers() *rapid.Generator[*metal.Server] {
	return rapid.Custom(func(t *rapid.T) *metal.Server {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}}
		s.Spec.Accepted = rapid.Bool().Draw(t, "accepted")
		if rapid.Bool().Draw(t, "bmc") {
			s.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "secret"}
		}
		if rapid.Bool().Draw(t, "requested") {
			action := rapid.SampledFrom([]metal.PowerAction{"On", "Off", "Cycle", "Explode"}).Draw(t, "action")
			s.Spec.PowerRequest = &metal.PowerRequest{ID: ids.Draw(t, "request"), Action: action, RequestedAt: times(t, "requestedAt")}
		}
		if rapid.Bool().Draw(t, "recorded") {
			s.Spec.Record = records().Draw(t, "record")
		}
		if rapid.Bool().Draw(t, "pending") {
			kind := rapid.SampledFrom([]string{"EnsurePowerOn", "EnsurePowerOnFromNetwork", "EnsurePowerOff", "?"}).Draw(t, "kind")
			s.Status.PendingAction = &metal.PendingAction{ID: ids.Draw(t, "pendingID"), Kind: kind, Since: times(t, "since")}
		}
		if rapid.Bool().Draw(t, "shown") {
			at := times(t, "shownAt")
			s.Status.Power = &metal.PowerStatus{State: rapid.SampledFrom([]metal.PowerState{"On", "Off", "Unknown"}).Draw(t, "state"), ObservedAt: &at}
		}
		return s
	})
}

func records() *rapid.Generator[*metal.ServerRecord] {
	return rapid.Custom(func(t *rapid.T) *metal.ServerRecord {
		r := &metal.ServerRecord{}
		if rapid.Bool().Draw(t, "managed") {
			r.ManagedBy = &metal.ManagedBy{Installation: rapid.SampledFrom([]string{"here", "elsewhere"}).Draw(t, "manager"), Epoch: 1}
		}
		if rapid.Bool().Draw(t, "powered") {
			steps := []metal.PowerStep{"SwitchingOff", "SwitchingOn", "Done", "Expired", "Failed", "?"}
			r.Power = &metal.PowerRecord{ID: ids.Draw(t, "recordID"), Step: rapid.SampledFrom(steps).Draw(t, "step"), At: times(t, "stepAt")}
		}
		return r
	})
}

func readings() *rapid.Generator[lifecycle.PowerReading] {
	return rapid.Custom(func(t *rapid.T) lifecycle.PowerReading {
		classes := []string{"", reasons.BMCAnswers, reasons.BMCNotAsked, reasons.BMCUnreachable, reasons.BMCUnauthorized, reasons.BMCLied, reasons.BMCCertificateChanged, reasons.CredentialsMissing, "?"}
		commands := []string{"", "r1.SwitchingOn.x", "r1.SwitchingOff.x", "r2.SwitchingOff.y"}
		return lifecycle.PowerReading{
			State: rapid.SampledFrom([]metal.PowerState{"On", "Off", "Unknown", ""}).Draw(t, "reading"), At: times(t, "readAt").Time,
			Reason: rapid.SampledFrom(classes).Draw(t, "class"), CommandAt: times(t, "commandAt").Time,
			Pending: rapid.SampledFrom(commands).Draw(t, "planePending"), Done: rapid.SampledFrom(commands).Draw(t, "planeDone"),
		}
	})
}

// clone keeps a copy to compare with.
func clone(o lifecycle.Observation) lifecycle.Observation {
	o.Server = o.Server.DeepCopy()
	o.Inventory = o.Inventory.DeepCopy()
	o.ConflictsWith = append([]string(nil), o.ConflictsWith...)
	return o
}

// TestTotalAndDeterministic: every observation has a full answer, the same one twice, and is left as it was.
func TestTotalAndDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		before := clone(o)
		p, again := lifecycle.Decide(o), lifecycle.Decide(o)
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("two answers: %+v and %+v", p, again)
		}
		if !reflect.DeepEqual(before.Server, o.Server) {
			t.Fatal("Decide changed its input")
		}
		if len(p.Conditions) != 8 || p.State == "" || p.Boot.Target == "" || p.Power == nil || p.After < 0 {
			t.Fatalf("not a full answer: %+v", p)
		}
		for _, c := range p.Conditions {
			if c.Reason == "" || c.Message == "" {
				t.Fatalf("condition without a reason or a message: %+v", c)
			}
		}
	})
	if p := lifecycle.Decide(lifecycle.Observation{}); p.Action.Kind != lifecycle.NoAction {
		t.Error("no Server, and still an action")
	}
}

// switches says that an action changes the power of a machine.
func switches(a lifecycle.Action) bool {
	return a.Kind != lifecycle.NoAction && a.Kind != lifecycle.WithdrawPower
}

// TestForeign: nothing is done, recorded or answered for a server that another installation manages.
func TestForeign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		o.Server.Spec.Record = records().Draw(t, "record")
		o.Server.Spec.Record.ManagedBy = &metal.ManagedBy{Installation: "elsewhere", Epoch: 3}
		p := lifecycle.Decide(o)
		if p.Action.Kind != lifecycle.NoAction || p.Record != nil || p.Boot.Target != metal.BootTargetNoAnswer {
			t.Fatalf("acts on a foreign server: %+v", p)
		}
	})
}

// TestLostStatus: without status there is no action that a running, recorded step does not call for, and never one for a settled request.
func TestLostStatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		lost := clone(o)
		lost.Server.Status = metal.ServerStatus{}
		with, without := lifecycle.Decide(o), lifecycle.Decide(lost)
		if !reflect.DeepEqual(with.Record, without.Record) || with.Boot != without.Boot || with.State != without.State {
			t.Fatalf("status decided something: %+v and %+v", with, without)
		}
		if !switches(without.Action) {
			return
		}
		r := lost.Server.Spec.Record
		if without.Record != nil {
			r = without.Record
		}
		if r.Power == nil || r.Power.Step != metal.PowerSwitchingOn && r.Power.Step != metal.PowerSwitchingOff {
			t.Fatalf("an action without a recorded step: %+v", without)
		}
	})
}

// TestSettledStaysSettled: a request whose id is recorded as settled never switches anything again, whatever else is so.
func TestSettledStaysSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		step := rapid.SampledFrom([]metal.PowerStep{metal.PowerDone, metal.PowerExpired, metal.PowerFailed}).Draw(t, "settled")
		o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "r1", Action: metal.PowerActionCycle, RequestedAt: times(t, "at")}
		o.Server.Spec.Record = &metal.ServerRecord{Power: &metal.PowerRecord{ID: "r1", Step: step, At: times(t, "stepAt")}}
		p := lifecycle.Decide(o)
		if switches(p.Action) || p.Record != nil && p.Record.Power.Step != step {
			t.Fatalf("a settled request went on: %+v", p)
		}
	})
}

// TestPace: two commands to one BMC are ten seconds apart, by memory or by status.
func TestPace(t *testing.T) {
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		if rapid.IntRange(0, 3).Draw(t, "likely") > 0 { // most observations call for no command at all
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
		t.Error("no observation led to a command: the property saw nothing")
	}
}

func since(s *metal.Server) time.Time {
	if s.Status.PendingAction == nil {
		return time.Time{}
	}
	return s.Status.PendingAction.Since.Time
}

// TestFixpoint: a plan carried out leads to the same plan without an action, so an idle server costs nothing.
func TestFixpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{o: observations().Draw(t, "o")}
		w.carryOut(lifecycle.Decide(w.o))
		second := lifecycle.Decide(w.o)
		w.carryOut(second)
		third := lifecycle.Decide(w.o)
		if switches(third.Action) || third.Record != nil {
			t.Fatalf("does not come to rest: %+v", third)
		}
		if !reflect.DeepEqual(second.Conditions, third.Conditions) || !reflect.DeepEqual(second.Power, third.Power) || len(third.Events) > 0 {
			t.Fatalf("status keeps changing:\n%+v\n%+v", second, third)
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
