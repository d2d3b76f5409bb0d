package desk_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// unreachable is an accepted Server without a BMC, with a restart ordered for the boot b1 once somebody waits.
func unreachable(t *testing.T) *world {
	t.Helper()
	record := expecting(metal.BootVoid)
	w := newWorld(t, record)
	s := w.server()
	s.Spec.BMC = nil
	if err := w.Client.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return w
}

// stranger enrols for the same Server in a boot of its own.
var stranger = lifecycle.Caller{BootID: "b6", Key: keyB}

// TestRestart: an agent of any boot may wait on an accepted Server without a BMC, unproven; what it says of the hardware is not written; it alone is told to
// restart the machine, and its word opens the window once, however often it comes.
func TestRestart(t *testing.T) {
	w := unreachable(t)
	if level, err := w.Claim(t.Context(), w.name, old); level != 0 || err != nil {
		t.Fatalf("enrolling: %d, %v", level, err)
	}
	w.unchanged("what follows from enrolling", func() {
		if err := w.Admit(t.Context(), old, w.name); err != nil {
			t.Errorf("calling: %v", err)
		}
		if err := w.Inventory(t.Context(), old, w.name, hardware()); err != nil {
			t.Errorf("reporting: %v", err)
		}
		w.expect("waiting", old, lifecycle.TaskWait)
		w.expect("another one", stranger, lifecycle.TaskDenied)
		if err := w.Admit(t.Context(), stranger, w.name); !errors.Is(err, desk.ErrNotBelieved) {
			t.Errorf("another one calls: %v", err)
		}
		if err := w.Acknowledge(t.Context(), old, w.name, "b1"); !errors.Is(err, desk.ErrUnknownTask) {
			t.Errorf("acknowledging what nobody ordered: %v", err)
		}
	})
	if i, err := w.stored(); err == nil {
		t.Errorf("the inventory of an unproven agent was written: %+v", i)
	}
	w.edit(func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootRestarting })
	if task := w.expect("ordered", old, lifecycle.TaskRestart); task.BootID != "b1" {
		t.Errorf("restart for %q", task.BootID)
	}
	w.unchanged("others", func() {
		w.expect("another one", stranger, lifecycle.TaskDenied)
		for _, c := range []lifecycle.Caller{stranger, thief, owner, {}} {
			if err := w.Acknowledge(t.Context(), c, w.name, "b1"); !errors.Is(err, desk.ErrUnknownTask) {
				t.Errorf("%+v acknowledges: %v", c, err)
			}
		}
	})
	if err := w.Acknowledge(t.Context(), old, w.name, "b1"); err != nil {
		t.Fatal(err)
	}
	w.unchanged("the same word again", func() {
		if err := w.Acknowledge(t.Context(), old, w.name, "b1"); err != nil {
			t.Error(err)
		}
		w.expect("its answer may be lost", old, lifecycle.TaskRestart)
	})
	if b := w.server().Spec.Record.Boot; b.Phase != metal.BootBooting || b.RestartedBy != keyA {
		t.Errorf("the boot is %+v", b)
	}
	if level, err := w.Claim(t.Context(), w.name, thief); level != 1 || err != nil { // by another key than the one that said it restarts
		t.Errorf("control: claiming: %d, %v", level, err)
	}
}

// TestContradicted: an agent that enrols while a restart is under way makes that boot void, and an event says so.
func TestContradicted(t *testing.T) {
	for _, phase := range []metal.BootPhase{metal.BootRestarting, metal.BootBooting, metal.BootVoid} {
		w := unreachable(t)
		w.edit(func(r *metal.ServerRecord) { r.Boot.Phase, r.Boot.RestartedBy = phase, "" })
		if phase == metal.BootBooting {
			w.edit(func(r *metal.ServerRecord) { r.Boot.RestartedBy = keyA })
		}
		if level, err := w.Claim(t.Context(), w.name, stranger); level != 0 || err != nil {
			t.Fatalf("%s: %d, %v", phase, level, err)
		}
		r, contested := w.server().Spec.Record, phase != metal.BootVoid
		if r.Boot.Phase != metal.BootVoid || (r.Boot.Reason == reasons.BootVoided) != contested || r.Agent == nil || r.Agent.Key != keyB {
			t.Errorf("%s: %+v, %+v", phase, r.Boot, r.Agent)
		}
		if told := slices.Equal(w.events, []string{w.name + " Warning " + reasons.IdentityConflict}); told != contested {
			t.Errorf("%s: events %q", phase, w.events)
		}
	}
}

// TestHeard: an agent that looks for its task is written down now and then, and no sooner.
func TestHeard(t *testing.T) {
	w := unreachable(t)
	if _, err := w.Claim(t.Context(), w.name, old); err != nil {
		t.Fatal(err)
	}
	first := w.server().Spec.Record.Agent.HeardAt
	w.unchanged("a minute later", func() {
		w.now = w.now.Add(time.Minute)
		w.expect("waiting", old, lifecycle.TaskWait)
	})
	w.now = w.now.Add(time.Minute)
	w.expect("control: two minutes later", old, lifecycle.TaskWait)
	if again := w.server().Spec.Record.Agent.HeardAt; !again.After(first.Time) {
		t.Errorf("heard at %s, and then at %s", first, again)
	}
}

// TestRetires: the agent that waited on an idle Server until that got a BMC is let in on, and switches its machine off as soon as the BMC answers. Nobody else is
// let in, and it is neither once a claim has the Server.
func TestRetires(t *testing.T) {
	w := unreachable(t)
	if level, err := w.Claim(t.Context(), w.name, old); level != 0 || err != nil {
		t.Fatalf("enrolling: %d, %v", level, err)
	}
	at := w.at(-time.Hour)
	w.edit(func(r *metal.ServerRecord) {
		r.Wipe = &metal.WipeRecord{ID: "w1", Level: metal.WipeClear, GrantedAt: at, Generation: 1, BootID: "b1", VerifiedAt: &at}
	})
	w.expect("control: without a BMC it waits", old, lifecycle.TaskWait)
	s := w.server()
	s.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "bmc"}
	if err := w.Client.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.unchanged("the agent that retires", func() {
		w.expect("its BMC did not answer yet", old, lifecycle.TaskWait)
		w.expect("another one", stranger, lifecycle.TaskDenied)
		if level, err := w.Claim(t.Context(), w.name, old); level != 0 || err != nil {
			t.Errorf("enrolling again: %d, %v", level, err)
		}
		if _, err := w.Claim(t.Context(), w.name, stranger); !errors.Is(err, desk.ErrNotExpected) {
			t.Errorf("another one enrols: %v", err)
		}
	})
	s = w.server()
	s.Status.Conditions = []metav1.Condition{{Type: reasons.BMCReachable, Status: metav1.ConditionTrue, Reason: reasons.BMCAnswers, LastTransitionTime: at}}
	if err := w.Client.Status().Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.expect("its BMC answers", old, lifecycle.TaskPowerOff)
	w.expect("another one", stranger, lifecycle.TaskDenied)
	w.edit(func(r *metal.ServerRecord) {
		r.Claim = &metal.ClaimRecord{Namespace: "prod", Name: "web", BindingID: "b", At: at}
	})
	w.expect("a claim has it", old, lifecycle.TaskDenied)
}
