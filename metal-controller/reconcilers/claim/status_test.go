package claim_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// TestRefused: what no server can mend is said of the claim itself, with who acts.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*metal.ServerClassSpec, *metal.ServerClaim)
		reason, say string
	}{
		"nothing":                 {func(*metal.ServerClassSpec, *metal.ServerClaim) {}, "", ""},
		"no such class":           {func(_ *metal.ServerClassSpec, c *metal.ServerClaim) { c.Spec.ClassName = "none" }, reasons.ClassMissing, "ServerClass none does not exist"},
		"for nobody":              {func(s *metal.ServerClassSpec, _ *metal.ServerClaim) { s.AllowedNamespaces = nil }, reasons.NamespaceNotAllowed, "allowedNamespaces"},
		"for others":              {func(s *metal.ServerClassSpec, _ *metal.ServerClaim) { s.AllowedNamespaces.Names = []string{"x"} }, reasons.NamespaceNotAllowed, "Waiting for an operator"},
		"for labels it has":       {func(s *metal.ServerClassSpec, c *metal.ServerClaim) { s.AllowedNamespaces = selects(c.Namespace) }, "", ""},
		"for other labels":        {func(s *metal.ServerClassSpec, _ *metal.ServerClaim) { s.AllowedNamespaces = selects("x") }, reasons.NamespaceNotAllowed, "allowedNamespaces"},
		"broken expression":       {func(s *metal.ServerClassSpec, _ *metal.ServerClaim) { s.Requirements.CEL = []string{"inventory.ram"} }, reasons.InvalidClass, "undefined field 'ram'"},
		"environment not allowed": {func(_ *metal.ServerClassSpec, c *metal.ServerClaim) { c.Spec.EnvironmentName = "other" }, reasons.EnvironmentNotAllowed, "does not allow the Environment other"},
		"environment missing": {func(s *metal.ServerClassSpec, c *metal.ServerClaim) {
			s.AllowedEnvironments, c.Spec.EnvironmentName = []string{"*"}, "other-"+c.Namespace
		}, reasons.EnvironmentMissing, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.server("a")
			m := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "m1"}, Spec: metal.ServerClaimSpec{ClassName: w.class.Name}}
			c.change(&w.class.Spec, m)
			ok(t, w.admin.Update(t.Context(), w.class))
			w.make(m)
			w.settle(m)
			if c.reason == "" {
				w.bound(m)
				return
			}
			w.says(m, reasons.Bound, no, c.reason)
			w.says(m, reasons.Ready, no, c.reason)
			if got := meta.FindStatusCondition(m.Status.Conditions, reasons.Ready); !strings.Contains(got.Message, c.say) {
				t.Errorf("it says %q; want %q", got.Message, c.say)
			}
			if len(w.events) != 1 || w.events[0] != "m1 "+c.reason {
				t.Errorf("events %v", w.events)
			}
			before := w.writes
			if w.settle(m); w.writes != before {
				t.Errorf("%d writes while nothing changed", w.writes-before)
			}
		})
	}
}

func selects(namespace string) *metal.NamespaceSelection {
	return &metal.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}}}
}

// TestWaiting: a claim that waits is told why for each server, in one write; when one becomes free it gets it.
func TestWaiting(t *testing.T) {
	w := newWorld(t)
	for _, suffix := range []string{"a", "b"} {
		w.condition(w.server(suffix), reasons.Ready, no, reasons.WipeRunning)
	}
	cordoned := w.server("c")
	cordoned.Spec.Cordoned = true
	ok(t, w.admin.Update(t.Context(), cordoned))
	c := w.claim("m1")
	w.settle(c)
	if u := group(c, reasons.NotReady); u.Count != 2 || !strings.Contains(u.Message, "-a: it is not ready (WipeRunning)") {
		t.Errorf("status.unfit is %+v", c.Status.Unfit)
	}
	if u := group(c, reasons.Cordoned); u.Count != 1 {
		t.Errorf("status.unfit is %+v", c.Status.Unfit)
	}
	if w.writes != 2 {
		t.Errorf("%d writes to wait; want the finalizer and the status", w.writes)
	}
	w.condition(&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-b"}}, reasons.Ready, yes, reasons.Available)
	w.settle(c)
	if w.bound(c); c.Spec.Binding.Server != w.ns+"-b" || len(c.Status.Unfit) > 0 {
		t.Errorf("bound to %+v, unfit %+v", c.Spec.Binding, c.Status.Unfit)
	}
}

// TestMirror: Ready shows how the server fares, and is True only when it runs.
func TestMirror(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	c := w.claim("m1")
	w.settle(c)
	s := w.bound(c)
	for _, step := range []struct {
		status metav1.ConditionStatus
		reason string
		want   metav1.ConditionStatus
	}{
		{no, reasons.ConfigMissing, no},
		{no, reasons.Provisioning, no},
		{yes, reasons.Installed, no},
		{yes, reasons.Running, yes},
		{no, reasons.DiskBootFailed, no},
		{metav1.ConditionUnknown, reasons.Running, no},
	} {
		w.condition(s, reasons.Provisioned, step.status, step.reason)
		w.settle(c)
		w.says(c, reasons.Ready, step.want, step.reason)
		w.says(c, reasons.Bound, yes, reasons.BindingSeen)
	}
}

// TestLost: a binding that the server does not hold any more is told, and never made again.
func TestLost(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	c := w.claim("m1")
	w.settle(c)
	s := w.bound(c)
	w.record(s, func(r *metal.ServerRecord) { r.Claim = nil })
	w.settle(c)
	w.says(c, reasons.Bound, no, reasons.BindingIncomplete)
	w.says(c, reasons.Ready, no, reasons.BindingIncomplete)
	if holders := w.holders(c); len(holders) > 0 || c.Spec.Binding == nil {
		t.Errorf("bound to %+v, held by %v", c.Spec.Binding, holders)
	}
}
