package lifecycle_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestUnverify: the record stays, it is marked, and what was wanted before the restore counts as done.
func TestUnverify(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	s := &metal.Server{}
	lifecycle.Unverify(s, at.Time)
	if r := s.Spec.Record; r == nil || r.Unverified == nil || r.Unverified.Reason != reasons.Restored || !r.Unverified.Since.Equal(&at) || r.Power != nil {
		t.Errorf("without a record: %+v", r)
	}
	s = &metal.Server{Spec: metal.ServerSpec{
		PowerRequest: &metal.PowerRequest{ID: "p2"},
		Record: &metal.ServerRecord{
			Acceptance: &metal.AcceptanceRecord{RequestID: "a"}, Power: &metal.PowerRecord{ID: "p1", Step: metal.PowerDone},
			Unverified: &metal.UnverifiedRecord{Reason: reasons.Restored},
		},
	}}
	lifecycle.Unverify(s, at.Time)
	if r := s.Spec.Record; r.Acceptance == nil || r.Power.ID != "p2" || r.Power.Step != metal.PowerExpired || !r.Unverified.Since.Equal(&at) {
		t.Errorf("with a request that was not begun: %+v", r)
	}
	s.Spec.Record.Power = &metal.PowerRecord{ID: "p2", Step: metal.PowerDone}
	lifecycle.Unverify(s, at.Time)
	if r := s.Spec.Record; r.Power.Step != metal.PowerDone {
		t.Errorf("control: a request that was done: %+v", r.Power)
	}
}

// TestUnverifyEndsWhatWasUnderWay: whatever times the backup holds, also ones that are later than the restore since a clock jumped. Found by the simulator
// (seed 1358): a boot from a jumped clock proved the disks blank that a system had been installed on since.
func TestUnverifyEndsWhatWasUnderWay(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	later := metav1.NewTime(at.Add(20 * time.Hour))
	for _, phase := range []metal.BootPhase{metal.BootSwitchingOff, metal.BootSwitchingOn, metal.BootBooting, metal.BootClaimed} {
		s := &metal.Server{Spec: metal.ServerSpec{
			AcceptRequest: &metal.AcceptRequest{ID: "a1"}, QuarantineRequest: &metal.QuarantineRequest{ID: "q1"},
			Record: &metal.ServerRecord{
				Boot:  &metal.BootRecord{ID: "b1", Phase: phase, StartedAt: later, At: later},
				Power: &metal.PowerRecord{ID: "p1", Step: metal.PowerSwitchingOff, At: later},
			},
		}}
		lifecycle.Unverify(s, at)
		r := s.Spec.Record
		if r.Boot.Phase != metal.BootVoid || r.Boot.Reason != reasons.Restored || r.Power.Step != metal.PowerFailed || r.AcceptRequest != "a1" || r.QuarantineRequest != "q1" {
			t.Errorf("%s: %+v %+v", phase, r.Boot, r)
		}
	}
	s := &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{Boot: &metal.BootRecord{ID: "b1", Phase: metal.BootVoid, Reason: reasons.WipeTimeout}}}}
	lifecycle.Unverify(s, at)
	if b := s.Spec.Record.Boot; b.Reason != reasons.WipeTimeout {
		t.Errorf("control: a boot that was over: %+v", b)
	}
}
