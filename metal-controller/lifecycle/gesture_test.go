package lifecycle_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestGestureOfAnotherObject: a Server that was deleted and applied anew brings its gestures along. They were made for what the machine held before, so they
// confirm and switch nothing. The control: made after the object, they count.
func TestGestureOfAnotherObject(t *testing.T) {
	for name, c := range map[string]struct {
		made  time.Duration // after the object
		wants bool
	}{
		"a minute before the object":     {-time.Minute, false},
		"just before it":                 {-6 * time.Second, false},
		"control: by a clock a bit late": {-4 * time.Second, true},
		"control: after it":              {time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			_ = w.do(nil, "bmc", nil)
			w.read("Off")
			s := w.o.Server
			s.CreationTimestamp = metav1.NewTime(w.o.Now.Add(-2 * time.Second))
			made := metav1.NewTime(s.CreationTimestamp.Add(c.made))
			s.Spec.Accepted = true
			s.Spec.AcceptRequest = &metal.AcceptRequest{ID: "a1", RequestedAt: made}
			s.Spec.PowerRequest = &metal.PowerRequest{ID: "p1", Action: metal.PowerActionOn, RequestedAt: made}
			s.Spec.QuarantineRequest = &metal.QuarantineRequest{ID: "q1", Action: metal.QuarantineSet, RequestedAt: made}
			p := lifecycle.Decide(w.o)
			r := p.Record
			if (r.Acceptance != nil) != c.wants || (r.Quarantine != nil) != c.wants || (r.Power.Step != metal.PowerExpired) != c.wants {
				t.Errorf("acceptance %v, quarantine %v, power %+v; wanted: %v", r.Acceptance, r.Quarantine, r.Power, c.wants)
			}
		})
	}
}
