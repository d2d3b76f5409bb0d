package cli

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

func TestCordonAndPauseAreSettings(t *testing.T) {
	rackServer(t, "duty-1", nil)
	run(t, "cordon", "duty-1").want(t, CodeOK, "server/duty-1 cordoned", "ingot uncordon duty-1")
	run(t, "pause", "duty-1").want(t, CodeOK, "server/duty-1 paused", "ingot resume duty-1")
	if s := fetch(t, "duty-1"); !s.Spec.Cordoned || s.Annotations[pausedAnnotation] == "" {
		t.Errorf("%+v %v", s.Spec, s.Annotations)
	}
	run(t, "cordon", "duty-1").want(t, CodeOK, "already", "nothing was changed")
	run(t, "pause", "duty-1").want(t, CodeOK, "already")
	run(t, "uncordon", "nobody", "duty-1").want(t, CodeError, `no server "nobody"`, "duty-1 uncordoned")
	run(t, "resume", "duty-1").want(t, CodeOK, "Ingot goes on")
	if s := fetch(t, "duty-1"); s.Spec.Cordoned || len(s.Annotations) > 0 {
		t.Errorf("%+v %v", s.Spec, s.Annotations)
	}
	run(t, "uncordon", "duty-1").want(t, CodeOK, "is not cordoned")
	run(t, "resume", "duty-1").want(t, CodeOK, "is not paused")
}

// answer does what the controller does with a quarantine request.
func answer(t *testing.T, name string, drop bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s := fetch(t, name)
		r := recordOf(s)
		if q := s.Spec.QuarantineRequest; q != nil && q.ID != r.QuarantineRequest {
			change(t, name, func(s *metal.Server) {
				r.QuarantineRequest = q.ID
				switch {
				case drop:
				case q.Action == metal.QuarantineSet:
					r.Quarantine = &metal.QuarantineRecord{Reason: reasons.QuarantineByPerson, Message: q.Message, At: metav1.NewTime(noon)}
				default:
					r.Quarantine = nil
				}
				s.Spec.Record = &r
			}, nil)
			return
		}
		select {
		case <-t.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func TestQuarantineAndLift(t *testing.T) {
	rackServer(t, "duty-2", nil)
	run(t, "quarantine", "duty-2").want(t, CodeUsage, "--message")
	run(t, "quarantine", "duty-2", "--message", strings.Repeat("x", 513)).want(t, CodeUsage, "512")
	run(t, "lift", "duty-2").want(t, CodeOK, "is not quarantined")
	wait := aside(t, func() { answer(t, "duty-2", false) })
	run(t, "quarantine", "duty-2", "--message", "fan 3").want(t, CodeOK, "server/duty-2 quarantined", "ingot lift duty-2")
	wait()
	if q := fetch(t, "duty-2").Spec.QuarantineRequest; q == nil || q.Action != metal.QuarantineSet || q.Message != "fan 3" || !q.RequestedAt.Time.Equal(noon) {
		t.Errorf("request %+v", q)
	}
	run(t, "quarantine", "duty-2", "-m", "again").want(t, CodeOK, "already", "fan 3")
	wait = aside(t, func() { answer(t, "duty-2", false) })
	run(t, "lift", "duty-2").want(t, CodeOK, "no longer quarantined", "state before")
	wait()
	wait = aside(t, func() { answer(t, "duty-2", true) })
	run(t, "quarantine", "duty-2", "-m", "x").want(t, CodeError, "dropped the request", "clock")
	wait()
	run(t, "quarantine", "duty-2", "-m", "x", "--timeout", "1s").want(t, CodeTimeout, "is it running?")
	run(t, "quarantine", "duty-2", "-m", "x", "--wait=false").want(t, CodeOK, "asked to quarantine")

	rackServer(t, "duty-3", func(s *metal.Server) {
		s.Spec.Record = &metal.ServerRecord{Quarantine: &metal.QuarantineRecord{Reason: reasons.WipeFailed, Message: "disk S1", At: metav1.NewTime(noon)}}
	})
	wait = aside(t, func() { answer(t, "duty-3", false) })
	run(t, "lift", "duty-3").want(t, CodeOK, "wiped again, in a new boot")
	wait()
}
