package lifecycle_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// waiting is an accepted server without a BMC whose agent k0 of boot b0 waits, and is told to restart it for the boot b1.
func waiting() *metal.Server {
	at := metav1.NewTime(epoch.Truncate(time.Second))
	return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Spec: metal.ServerSpec{Accepted: true, Record: &metal.ServerRecord{
		ManagedBy: &metal.ManagedBy{Installation: "here", Epoch: 1}, Acceptance: &metal.AcceptanceRecord{At: at, RequestID: "a1", Level: metal.WipeClear},
		Agent: &metal.AgentRecord{BootID: "b0", Key: "k0", HeardAt: at},
		Boot: &metal.BootRecord{
			ID: "b1", Phase: metal.BootRestarting, StartedAt: at, At: at, Deadline: metav1.NewTime(at.Add(5 * time.Minute)), Target: metal.BootTargetAgent,
		},
	}}}
}

var told = lifecycle.Caller{BootID: "b0", Key: "k0"}

// TestAcknowledgeRestart: the word of the agent that waits counts once, in time, for the boot that it was told; nobody else's ever does.
func TestAcknowledgeRestart(t *testing.T) {
	edit := func(f func(s *metal.Server, r *metal.ServerRecord)) *metal.Server {
		s := waiting()
		f(s, s.Spec.Record)
		return s
	}
	phase := func(p metal.BootPhase, by string) *metal.Server {
		return edit(func(_ *metal.Server, r *metal.ServerRecord) { r.Boot.Phase, r.Boot.RestartedBy = p, by })
	}
	for name, c := range map[string]struct {
		server  *metal.Server
		caller  lifecycle.Caller
		boot    string
		after   time.Duration
		verdict lifecycle.Verdict
	}{
		"control: the agent that waits":       {waiting(), told, "b1", 0, lifecycle.VerdictFirst},
		"control: at the deadline":            {waiting(), told, "b1", 5*time.Minute - time.Second, lifecycle.VerdictFirst},
		"too late":                            {waiting(), told, "b1", 5*time.Minute + time.Second, lifecycle.VerdictRefused},
		"another session":                     {waiting(), lifecycle.Caller{BootID: "b0", Key: "evil"}, "b1", 0, lifecycle.VerdictRefused},
		"its key in another boot":             {waiting(), lifecycle.Caller{BootID: "b9", Key: "k0"}, "b1", 0, lifecycle.VerdictRefused},
		"nobody":                              {waiting(), lifecycle.Caller{}, "b1", 0, lifecycle.VerdictRefused},
		"another boot":                        {waiting(), told, "b9", 0, lifecycle.VerdictRefused},
		"no boot":                             {waiting(), told, "", 0, lifecycle.VerdictRefused},
		"the same again":                      {phase(metal.BootBooting, "k0"), told, "b1", 0, lifecycle.VerdictAgain},
		"another one after it":                {phase(metal.BootBooting, "k9"), told, "b1", 0, lifecycle.VerdictRefused},
		"a boot that a BMC began":             {phase(metal.BootSwitchingOn, ""), told, "b1", 0, lifecycle.VerdictRefused},
		"once it is claimed":                  {phase(metal.BootClaimed, "k0"), told, "b1", 0, lifecycle.VerdictRefused},
		"once it is void":                     {phase(metal.BootVoid, ""), told, "b1", 0, lifecycle.VerdictRefused},
		"nobody waits":                        {edit(func(_ *metal.Server, r *metal.ServerRecord) { r.Agent = nil }), told, "b1", 0, lifecycle.VerdictRefused},
		"a BMC was declared":                  {edit(func(s *metal.Server, _ *metal.ServerRecord) { s.Spec.BMC = &metal.BMC{} }), told, "b1", 0, lifecycle.VerdictRefused},
		"the yes was taken back":              {edit(func(s *metal.Server, _ *metal.ServerRecord) { s.Spec.Accepted = false }), told, "b1", 0, lifecycle.VerdictRefused},
		"no record":                           {edit(func(s *metal.Server, _ *metal.ServerRecord) { s.Spec.Record = nil }), told, "b1", 0, lifecycle.VerdictRefused},
		"a workload that a backup tells of":   {edit(restoredClaim), told, "b1", 0, lifecycle.VerdictRefused},
		"a system that is installed runs now": {edit(installedClaim), told, "b1", 0, lifecycle.VerdictRefused},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.server.DeepCopy()
			r, verdict := lifecycle.AcknowledgeRestart(c.server, c.caller, c.boot, epoch.Add(c.after))
			if verdict != c.verdict || (r != nil) != (verdict == lifecycle.VerdictFirst) {
				t.Fatalf("%s, %+v", verdict, r)
			}
			if r != nil && (r.Boot.Phase != metal.BootBooting || r.Boot.RestartedBy != "k0" || r.Agent != nil || !r.Boot.Deadline.After(epoch.Add(c.after))) {
				t.Errorf("%+v, %+v", r.Boot, r.Agent)
			}
			if before.Spec.Record != nil && c.server.Spec.Record.Boot.Phase != before.Spec.Record.Boot.Phase {
				t.Error("the input was changed")
			}
		})
	}
}

func restoredClaim(_ *metal.Server, r *metal.ServerRecord) {
	installedClaim(nil, r)
	r.Installed, r.Unverified = nil, &metal.UnverifiedRecord{Reason: reasons.Restored, Since: r.Boot.At}
}

func installedClaim(_ *metal.Server, r *metal.ServerRecord) {
	at := r.Boot.At
	r.Claim = &metal.ClaimRecord{Namespace: "prod", Name: "web", BindingID: "b", At: at, BoundAt: &at}
	r.Installed = &metal.InstalledRecord{BootID: "b0", BindingID: "b", At: at}
}

// TestHearAgent: the agent that waits is written down every two minutes; one that nobody waits for is not, nor does it take another one's place.
func TestHearAgent(t *testing.T) {
	before := waiting() // accepted by Git alone: the agent that registered it goes on
	before.Spec.Record.Acceptance, before.Spec.Record.Agent, before.Spec.Record.Boot = nil, nil, nil
	gone := waiting() // accepted by a person, and its agent is not believed any more: it has to enrol
	gone.Spec.Record.Agent, gone.Spec.Record.Boot = nil, nil
	booting := waiting()
	booting.Spec.Record.Agent, booting.Spec.Record.Boot.Phase, booting.Spec.Record.Boot.RestartedBy = nil, metal.BootBooting, "k0"
	for name, c := range map[string]struct {
		server *metal.Server
		caller lifecycle.Caller
		after  time.Duration
		heard  bool
	}{
		"control: after two minutes":       {waiting(), told, 2 * time.Minute, true},
		"sooner":                           {waiting(), told, time.Minute, false},
		"written by a clock that is ahead": {waiting(), told, -3 * time.Minute, true},
		"another one":                      {waiting(), lifecycle.Caller{BootID: "b0", Key: "evil"}, time.Hour, false},
		"control: it was there before":     {before, told, 0, true},
		"it is not believed":               {gone, told, 0, false},
		"it said that it restarts":         {booting, told, time.Hour, false},
	} {
		if r := lifecycle.HearAgent(c.server, c.caller, epoch.Add(c.after)); (r != nil) != c.heard || r != nil && r.Agent.Key != "k0" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestWindowOpensByWord: whatever is observed, no decision, claim or enrolment makes a boot acknowledged; and nobody claims a boot before it is.
func TestWindowOpensByWord(t *testing.T) {
	acknowledged, waits := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		o := observations().Draw(t, "o")
		c := lifecycle.Caller{BootID: bootIDs.Draw(t, "callerBoot"), Key: keys.Draw(t, "callerKey")}
		if o.Server.Spec.Record != nil && yes.Draw(t, "likely") {
			r := waiting().Spec.Record
			r.Boot.Deadline, r.Agent.BootID, r.Agent.Key = times(t, "until"), bootIDs.Draw(t, "waitingBoot"), keys.Draw(t, "waitingKey")
			if yes.Draw(t, "inTime") {
				r.Boot.Deadline = metav1.NewTime(o.Now.Add(time.Minute))
			}
			o.Server.Spec.BMC, o.Server.Spec.Record = nil, r
		}
		old := func() string {
			if r := o.Server.Spec.Record; r != nil && r.Boot != nil {
				return r.Boot.RestartedBy
			}
			return ""
		}()
		claim, verdict := lifecycle.ClaimBoot(o.Server, c, o.Now)
		enrolled, in := lifecycle.Await(o.Server, c, o.Now)
		for _, r := range []*metal.ServerRecord{lifecycle.Decide(o).Record, claim, enrolled, lifecycle.HearAgent(o.Server, c, o.Now)} {
			if r != nil && r.Boot != nil && r.Boot.RestartedBy != old && r.Boot.RestartedBy != "" {
				t.Fatalf("acknowledged by nobody: %+v", r.Boot)
			}
		}
		if r := o.Server.Spec.Record; verdict == lifecycle.ClaimAccepted && r.Boot.Phase == metal.BootRestarting {
			t.Fatal("claimed before it was acknowledged")
		}
		if in {
			waits++
			if o.Server.Spec.BMC != nil || lifecycle.TrustLevel(o.Server, c) > 0 && claim != nil {
				t.Fatalf("%+v waits on a server with a BMC", c)
			}
		}
		if r, v := lifecycle.AcknowledgeRestart(o.Server, c, "b1", o.Now); v == lifecycle.VerdictFirst {
			acknowledged++
			was := o.Server.Spec.Record
			if was.Agent.Key != c.Key || was.Agent.BootID != c.BootID || was.Boot.Phase != metal.BootRestarting || r.Boot.Phase != metal.BootBooting {
				t.Fatalf("%+v acknowledged %+v, and %+v waited", c, was.Boot, was.Agent)
			}
		}
	})
	if acknowledged == 0 || waits == 0 {
		t.Errorf("control: %d acknowledged, %d waited", acknowledged, waits)
	}
}
