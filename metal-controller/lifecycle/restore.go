package lifecycle

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Unverify marks a Server that came out of a backup. No time in the record is believed for it, since clocks jump: what was under way ends here, and what was
// asked for and not begun counts as done.
func Unverify(s *metal.Server, now time.Time) {
	if s.Spec.Record == nil {
		s.Spec.Record = &metal.ServerRecord{}
	}
	s.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: whole(now)}
	interrupt(s, now, reasons.Restored)
}

// interrupt ends what was under way where the record comes from, and drops what was asked for and not begun.
func interrupt(s *metal.Server, now time.Time, reason string) {
	r, at := s.Spec.Record, whole(now)
	if b := r.Boot; b != nil && b.Phase != metal.BootVoid {
		b.Phase, b.At, b.Reason = metal.BootVoid, at, reason
	}
	r.Agent = nil
	if r.Installed != nil { // only a word from now on speaks for the workload
		r.Installed.HeardAt = nil
	}
	if p := r.Power; p != nil && !settled(p.Step) {
		p.Step, p.At = metal.PowerFailed, at
	}
	dropGestures(s, at)
}

// dropGestures counts what persons asked for as done.
func dropGestures(s *metal.Server, at metav1.Time) {
	r := s.Spec.Record
	if q := s.Spec.PowerRequest; q != nil && (r.Power == nil || r.Power.ID != q.ID) {
		r.Power = &metal.PowerRecord{ID: q.ID, Step: metal.PowerExpired, At: at}
	}
	if q := s.Spec.AcceptRequest; q != nil {
		r.AcceptRequest = q.ID
	}
	if q := s.Spec.QuarantineRequest; q != nil {
		r.QuarantineRequest = q.ID
	}
	if q := s.Spec.BMCRequest; q != nil {
		r.BMCRequest = q.ID
	}
	if q := s.Spec.ReleaseRequest; q != nil {
		r.ReleaseRequest = q.ID
	}
	if q := s.Spec.OwnerRequest; q != nil {
		r.OwnerRequest = q.ID
	}
}
