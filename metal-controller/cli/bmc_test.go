package cli

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// rotate does what the controller does with a BMC request: it begins an account that ends in a step, or drops the request.
func rotate(t *testing.T, name string, step metal.BMCAccountStep) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s := fetch(t, name)
		r := recordOf(s)
		if q := s.Spec.BMCRequest; q != nil && q.ID != r.BMCRequest {
			change(t, name, func(s *metal.Server) {
				r.BMCRequest = q.ID
				if step != "" {
					r.BMCAccount = &metal.BMCAccountRecord{ID: "x", Generation: 1, Step: step, At: metav1.NewTime(noon), Username: "ingot-x", Problem: "No slot is free."}
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

func TestBMCRotate(t *testing.T) {
	rackServer(t, "bmc-1", nil)
	change(t, "bmc-1", func(s *metal.Server) { s.Spec.Accepted = false }, nil)
	run(t, "bmc", "rotate", "bmc-1").want(t, CodeRefused, "ingot accept bmc-1")
	change(t, "bmc-1", func(s *metal.Server) { s.Spec.Accepted = true }, nil)
	run(t, "bmc", "rotate", "nobody", "bmc-1").want(t, CodeError, `no server "nobody"`, "server/bmc-1: a fresh BMC account is asked for", "ingot why bmc-1")
	if q := fetch(t, "bmc-1").Spec.BMCRequest; q == nil || q.Action != metal.BMCRotate || !q.RequestedAt.Time.Equal(noon) {
		t.Errorf("request %+v", q)
	}
	for step, c := range map[metal.BMCAccountStep]struct {
		code int
		says string
	}{
		"": {CodeError, "dropped the request"}, metal.BMCAccountDone: {CodeOK, "uses the account ingot-x"},
		metal.BMCAccountFailed: {CodeError, "No slot is free"}, metal.BMCAccountSetting: {CodeTimeout, "ingot why bmc-1"},
	} {
		change(t, "bmc-1", func(s *metal.Server) {
			if s.Spec.Record != nil {
				s.Spec.Record.BMCAccount = nil
			}
			s.Spec.BMCRequest = nil
		}, nil)
		wait := aside(t, func() { rotate(t, "bmc-1", step) })
		run(t, "bmc", "rotate", "bmc-1", "--wait", "--timeout", "3s").want(t, c.code, c.says)
		wait()
	}
}
