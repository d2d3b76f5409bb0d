package agentserver

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// TestRender: only the decided target LocalDisk makes a machine leave; everything that is not decided or not known lets it wait.
func TestRender(t *testing.T) {
	registered := []metav1.Condition{{Type: reasons.Registered, Status: metav1.ConditionTrue}}
	for _, c := range []struct {
		target     metal.BootTarget
		conditions []metav1.Condition
		leave      bool
		reason     string
	}{
		{metal.BootTargetLocalDisk, registered, true, reasons.LocalDiskPreferred},
		{metal.BootTargetAgent, registered, false, reasons.WaitingForAcceptance},
		{metal.BootTargetAgent, nil, false, reasons.NotRegistered},
		{metal.BootTargetOS, registered, false, reasons.NotRegistered},
		{"", nil, false, reasons.NotRegistered},
	} {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Status: metal.ServerStatus{Conditions: c.conditions}}
		if c.target != "" {
			s.Status.Boot = &metal.BootStatus{Target: c.target}
		}
		d := render(s)
		if (d.GetLeave() != nil) != c.leave || d.GetLeave().GetReason()+d.GetWait().GetReason() != c.reason {
			t.Errorf("%+v: %v", c, d)
		}
	}
}
