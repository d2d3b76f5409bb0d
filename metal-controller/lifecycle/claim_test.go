package lifecycle_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// expecting is a server whose boot b1 is in a phase, claimed by k1 if it is Claimed.
func expecting(phase metal.BootPhase) *metal.Server {
	b := &metal.BootRecord{ID: "b1", Phase: phase, Deadline: metav1.NewTime(epoch.Add(time.Minute))}
	if phase == metal.BootClaimed {
		b.Claimant = "k1"
	}
	return &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{Boot: b}}}
}

func TestClaimBoot(t *testing.T) {
	own := lifecycle.Caller{BootID: "b1", Key: "k1"}
	for name, c := range map[string]struct {
		server *metal.Server
		caller lifecycle.Caller
		after  time.Duration
		want   lifecycle.ClaimVerdict
		writes bool
	}{
		"control":                   {expecting(metal.BootBooting), own, 0, lifecycle.ClaimAccepted, true},
		"at the deadline":           {expecting(metal.BootBooting), own, time.Minute, lifecycle.ClaimAccepted, true},
		"after the deadline":        {expecting(metal.BootBooting), own, time.Minute + 1, lifecycle.ClaimRefused, false},
		"again":                     {expecting(metal.BootClaimed), own, time.Hour, lifecycle.ClaimAccepted, false},
		"a second key":              {expecting(metal.BootClaimed), lifecycle.Caller{BootID: "b1", Key: "k2"}, 0, lifecycle.ClaimVoided, true},
		"a second key, later":       {expecting(metal.BootClaimed), lifecycle.Caller{BootID: "b1", Key: "k2"}, time.Hour, lifecycle.ClaimVoided, true},
		"before it is off":          {expecting(metal.BootSwitchingOff), own, 0, lifecycle.ClaimRefused, false},
		"before it reads on":        {expecting(metal.BootSwitchingOn), own, 0, lifecycle.ClaimRefused, false},
		"void":                      {expecting(metal.BootVoid), own, 0, lifecycle.ClaimRefused, false},
		"another boot":              {expecting(metal.BootBooting), lifecycle.Caller{BootID: "b2", Key: "k1"}, 0, lifecycle.ClaimRefused, false},
		"another boot, claimed":     {expecting(metal.BootClaimed), lifecycle.Caller{BootID: "b2", Key: "k2"}, 0, lifecycle.ClaimRefused, false},
		"no key":                    {expecting(metal.BootBooting), lifecycle.Caller{BootID: "b1"}, 0, lifecycle.ClaimRefused, false},
		"no boot id":                {expecting(metal.BootBooting), lifecycle.Caller{Key: "k1"}, 0, lifecycle.ClaimRefused, false},
		"a record without a boot":   {&metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{}}}, own, 0, lifecycle.ClaimRefused, false},
		"a server without a record": {&metal.Server{}, own, 0, lifecycle.ClaimRefused, false},
	} {
		r, verdict := lifecycle.ClaimBoot(c.server, c.caller, epoch.Add(c.after))
		if verdict != c.want || (r != nil) != c.writes {
			t.Errorf("%s: %s, %+v", name, verdict, r)
		}
		if r == nil {
			continue
		}
		at := metav1.NewTime(epoch.Add(c.after).Truncate(time.Second))
		switch b := r.Boot; {
		case verdict == lifecycle.ClaimAccepted && (b.Phase != metal.BootClaimed || b.Claimant != "k1" || !b.ClaimedAt.Equal(&at) || !b.At.Equal(&at)):
			t.Errorf("%s: claimed as %+v", name, b)
		case verdict == lifecycle.ClaimVoided && (b.Phase != metal.BootVoid || b.Reason != reasons.BootVoided || !b.At.Equal(&at)):
			t.Errorf("%s: voided as %+v", name, b)
		}
	}
}

func TestVoidBoot(t *testing.T) {
	for phase, live := range map[metal.BootPhase]bool{
		metal.BootSwitchingOff: false, metal.BootSwitchingOn: true, metal.BootBooting: true, metal.BootClaimed: true, metal.BootVoid: false,
	} {
		s := expecting(phase)
		r := lifecycle.VoidBoot(s, "b1", reasons.BootVoided, epoch)
		at := metav1.NewTime(epoch.Truncate(time.Second))
		if (r != nil) != live || live && (r.Boot.Phase != metal.BootVoid || r.Boot.Reason != reasons.BootVoided || !r.Boot.At.Equal(&at)) {
			t.Errorf("%s became %+v", phase, r)
		}
		s.Spec.Record.Boot.ID = ""
		for _, id := range []string{"", "b2"} {
			if r := lifecycle.VoidBoot(s, id, reasons.BootVoided, epoch); r != nil {
				t.Errorf("%s: %q ended it: %+v", phase, id, r)
			}
		}
	}
	for _, s := range []*metal.Server{{}, {Spec: metal.ServerSpec{Record: &metal.ServerRecord{}}}} {
		if r := lifecycle.VoidBoot(s, "b1", reasons.BootVoided, epoch); r != nil {
			t.Errorf("nothing became %+v", r)
		}
	}
}

// TestBelieved: after acceptance, or once an expected boot is claimed, only its claimant is.
func TestBelieved(t *testing.T) {
	accepted := func(s *metal.Server) *metal.Server {
		s.Spec.Record.Acceptance = &metal.AcceptanceRecord{}
		return s
	}
	own, other := lifecycle.Caller{BootID: "b1", Key: "k1"}, lifecycle.Caller{BootID: "b0", Key: "k0"}
	for name, c := range map[string]struct {
		server     *metal.Server
		own, other bool
		level      int32
	}{
		"no record":               {&metal.Server{}, true, true, 0},
		"booting, not accepted":   {expecting(metal.BootBooting), true, true, 0},
		"claimed, not accepted":   {expecting(metal.BootClaimed), true, false, 1},
		"void, not accepted":      {expecting(metal.BootVoid), true, true, 0},
		"booting, accepted":       {accepted(expecting(metal.BootBooting)), false, false, 0},
		"claimed, accepted":       {accepted(expecting(metal.BootClaimed)), true, false, 1},
		"void, accepted":          {accepted(expecting(metal.BootVoid)), false, false, 0},
		"accepted without a boot": {accepted(&metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{}}}), false, false, 0},
	} {
		if got := lifecycle.Believed(c.server, own); got != c.own {
			t.Errorf("%s: the claimant %v", name, got)
		}
		if got := lifecycle.Believed(c.server, other); got != c.other {
			t.Errorf("%s: another %v", name, got)
		}
		if got := lifecycle.TrustLevel(c.server, own); got != c.level || lifecycle.TrustLevel(c.server, other) != 0 {
			t.Errorf("%s: level %d", name, got)
		}
	}
}
