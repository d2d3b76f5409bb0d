package server_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
)

func withBMC(secret string) metal.ServerSpec {
	return metal.ServerSpec{BMC: &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: "192.0.2.1", CredentialsSecret: secret}}
}

func (w *world) request(id string, action metal.PowerAction) {
	w.t.Helper()
	s := w.server()
	s.Spec.PowerRequest = &metal.PowerRequest{ID: id, Action: action, RequestedAt: metav1.NewTime(w.now)}
	if err := w.admin.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// TestIdle (T09): after convergence a thousand reconciles write nothing and order nothing.
func TestIdle(t *testing.T) {
	w := newWorld(t, "idle", withBMC("idle"))
	w.memory.Boot("idle", metal.BootTimeline{ID: "b1", Stages: []metal.BootStage{{Stage: "DHCP", At: metav1.NewMicroTime(w.now)}}})
	w.settle()
	before, rv := w.writes, w.server().ResourceVersion
	if before == 0 {
		t.Fatal("control: the first reconcile wrote nothing, so the count sees nothing")
	}
	for range 1000 {
		if _, err := w.reconcile(); err != nil {
			t.Fatal(err)
		}
	}
	if w.writes != before || w.server().ResourceVersion != rv || len(w.plane.orders) != 0 {
		t.Errorf("%d writes and the orders %v in a thousand idle reconciles", w.writes-before, w.plane.orders)
	}
}

// TestCycleSurvivesDeath (T01): the process dies before and after each of its effects in turn. Every run ends like the one without a death,
// with off before on, and with no more commands than one repeated ensure for the step in which it died.
func TestCycleSurvivesDeath(t *testing.T) {
	calm := cycle(t, -1, false)
	if got := calm.plane.orders; !slices.Equal(got, []lifecycle.ActionKind{lifecycle.EnsurePowerOff, lifecycle.EnsurePowerOnFromNetwork}) {
		t.Fatalf("control: without a death the orders are %v", got)
	}
	for at := range calm.effects {
		for _, after := range []bool{false, true} {
			w := cycle(t, at, after)
			if r := w.server().Spec.Record.Power; r.Step != metal.PowerDone || !w.plane.on {
				t.Errorf("death at effect %d (after: %v): %+v, on: %v", at, after, r, w.plane.on)
			}
			orders := slices.Clone(w.plane.orders)
			if len(orders) > 3 || !slices.Equal(slices.Compact(orders), calm.plane.orders) {
				t.Errorf("death at effect %d (after: %v): orders %v", at, after, w.plane.orders)
			}
		}
	}
}

func cycle(t *testing.T, dieAt int, after bool) *world {
	t.Helper()
	name := strings.ToLower(fmt.Sprintf("cycle-%d-%v", dieAt+1, after))
	w := newWorld(t, name, withBMC(name))
	w.plane.on = true
	w.settle()
	w.effects, w.dieAt, w.dieAfter = 0, dieAt, after
	w.request("c1", metal.PowerActionCycle)
	w.settle()
	return w
}

// TestStaleReader (T03): a reconciler that reads an older Server than the API server has neither records nor acts.
func TestStaleReader(t *testing.T) {
	w := newWorld(t, "stale", withBMC("stale"))
	w.settle()
	w.request("r1", metal.PowerActionOn)
	old := w.server()
	w.settle()
	if got := w.plane.orders; !slices.Equal(got, []lifecycle.ActionKind{lifecycle.EnsurePowerOnFromNetwork}) {
		t.Fatalf("control: orders %v", got)
	}
	r := w.reconciler(staleClient{newClient(t, w.config()), old})
	if _, err := r.Reconcile(t.Context(), w.key()); err != nil {
		t.Fatal(err)
	}
	if got := w.plane.orders; len(got) != 1 {
		t.Errorf("a stale reader ordered %v", got[1:])
	}
}

// TestStaleReaderWithoutIntent: a plan that needs nothing written, the next try of a step, goes out only if the Server is still as it was read. A leader
// that lost its lease would otherwise switch a machine off in the middle of what the next leader began.
func TestStaleReaderWithoutIntent(t *testing.T) {
	w := newWorld(t, "behind", withBMC("behind"))
	w.plane.on, w.plane.stuck = true, true
	w.settle()
	w.request("c1", metal.PowerActionCycle)
	for range 3 { // recorded and ordered once; the BMC does not do it
		if _, err := w.reconcile(); err != nil {
			t.Fatal(err)
		}
	}
	old, n := w.server(), len(w.plane.orders)
	if n != 1 || old.Spec.Record.Power.Step != metal.PowerSwitchingOff {
		t.Fatalf("control: orders %v, record %+v", w.plane.orders, old.Spec.Record.Power)
	}
	w.now = w.now.Add(time.Minute)
	live := newClient(t, w.config())
	r := w.reconciler(staleClient{live, old})
	r.Live = live
	reconcile := func(what string, orders int) {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), w.key()); err != nil {
			t.Fatal(err)
		}
		if got := len(w.plane.orders); got != orders {
			t.Errorf("%s: %d orders; want %d", what, got, orders)
		}
	}
	reconcile("control: nothing changed, so the step is tried again", n+1)
	s := w.server()
	s.Spec.PowerRequest = nil
	if err := w.admin.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	reconcile("the request was taken back", n+1)
}

// TestOrders: a request is done once, whatever is lost or applied again.
func TestOrders(t *testing.T) {
	w := newWorld(t, "orders", withBMC("orders"))
	w.settle()
	w.request("r1", metal.PowerActionOn)
	w.settle()
	manifest := w.server().Spec.PowerRequest
	s := w.server()
	s.Status = metal.ServerStatus{}
	if err := w.admin.Status().Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.settle()
	s = w.server()
	s.Spec.PowerRequest = manifest
	if err := w.admin.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.plane.orders; !slices.Equal(got, []lifecycle.ActionKind{lifecycle.EnsurePowerOnFromNetwork}) {
		t.Errorf("orders %v; want one", got)
	}
	if !slices.Contains(w.events, "PowerRequestDone") {
		t.Errorf("events %v tell nothing of the request", w.events)
	}
}

// TestDeafBMC: a BMC that never answers gets few commands, and the request fails with a reason.
func TestDeafBMC(t *testing.T) {
	w := newWorld(t, "deaf", withBMC("deaf"))
	w.plane.deaf = true
	w.settle()
	w.request("r1", metal.PowerActionOn)
	w.settle()
	if r := w.server().Spec.Record.Power; r.Step != metal.PowerFailed {
		t.Errorf("record %+v", r)
	}
	if n := len(w.plane.orders); n == 0 || n > 31 {
		t.Errorf("%d orders in five minutes; want at most one in ten seconds", n)
	}
}

// TestPin: the certificate that the record pins is the one that the BMC has to show, unless a person named another.
func TestPin(t *testing.T) {
	w := newWorld(t, "pin", withBMC("pin"))
	w.settle()
	if w.plane.pin != "" {
		t.Fatalf("control: the pin is %q before there is one", w.plane.pin)
	}
	recorded, named := strings.Repeat("1", 64), strings.Repeat("2", 64)
	s := w.server()
	s.Spec.Record.BMCPin = &metal.BMCPin{SHA256: recorded, At: metav1.NewTime(w.now)}
	if err := newClient(t, w.config()).Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if w.settle(); w.plane.pin != recorded {
		t.Errorf("the pin is %q; want the record's", w.plane.pin)
	}
	s = w.server()
	s.Spec.BMC.TLSFingerprint = named
	if err := w.admin.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if w.settle(); w.plane.pin != named {
		t.Errorf("the pin is %q; want the one of the spec", w.plane.pin)
	}
}

// TestForeignServer: a server of another installation is left alone: its BMC is not even talked to. What its owner wrote in status stays; one that came without
// status is shown as the owner's.
func TestForeignServer(t *testing.T) {
	w := newWorld(t, "foreign", withBMC("foreign"))
	w.settle()
	s := w.server()
	s.Spec.Record.ManagedBy.Installation = "elsewhere"
	if err := newClient(t, w.config()).Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.request("r1", metal.PowerActionOn)
	shown := w.server().Status
	w.settle()
	if s = w.server(); w.plane.watched || len(w.plane.orders) > 0 || s.Spec.Record.Power != nil || !reflect.DeepEqual(s.Status, shown) {
		t.Errorf("watched %v, orders %v, record %+v, status %+v", w.plane.watched, w.plane.orders, s.Spec.Record, s.Status)
	}
	s.Status = metal.ServerStatus{}
	if err := newClient(t, w.config()).Status().Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if s = w.server(); s.Status.Boot == nil || s.Status.Boot.Target != metal.BootTargetNoAnswer || condition(s, reasons.Ready).Reason != reasons.UnmanagedHere {
		t.Errorf("without status it shows %+v", s.Status)
	}
}

// TestDeleted: a Server that is gone is forgotten everywhere.
func TestDeleted(t *testing.T) {
	w := newWorld(t, "deleted", withBMC("deleted"))
	w.settle()
	if !w.plane.watched {
		t.Fatal("control: the BMC was never watched")
	}
	w.memory.Boot("deleted", metal.BootTimeline{ID: "b"})
	if err := w.admin.Delete(t.Context(), w.server()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.reconcile(); err != nil {
		t.Fatal(err)
	}
	if w.plane.watched || len(w.memory.Boots("deleted")) != 0 {
		t.Error("something is remembered of a Server that is gone")
	}
}

// TestConditions: times change only with the status, and the generation is always the observed one.
func TestConditions(t *testing.T) {
	w := newWorld(t, "conditions", withBMC("conditions"))
	w.settle()
	before := w.server()
	w.now = w.now.Add(time.Hour)
	s := w.server()
	s.Spec.Accepted = true
	if err := w.admin.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.settle()
	s = w.server()
	for _, c := range s.Status.Conditions {
		if c.ObservedGeneration != s.Generation {
			t.Errorf("%s observed generation %d of %d", c.Type, c.ObservedGeneration, s.Generation)
		}
		for _, o := range before.Status.Conditions {
			if o.Type == c.Type && o.Status == c.Status && !equality.Semantic.DeepEqual(o.LastTransitionTime, c.LastTransitionTime) {
				t.Errorf("%s kept its status and changed its time", c.Type)
			}
		}
	}
}

// TestSecretPrintsNothing: a password shows in no way of printing it.
func TestSecretPrintsNothing(t *testing.T) {
	b := server.BMC{Username: "u", Password: bmc.NewSecret("canary-4411")}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(b), fmt.Sprintf("%+v %#v %s %q %v %x %d", b, b, b.Password, b.Password, &b, b.Password, b.Password), string(text)} {
		if strings.Contains(s, "canary") || strings.Contains(s, "63616e617279") {
			t.Errorf("it shows: %s", s)
		}
	}
}
