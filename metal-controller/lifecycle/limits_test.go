package lifecycle_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// at makes the record's times whole seconds apart from a whole now.
func at(w *world, ago time.Duration) metav1.Time { return metav1.NewTime(w.o.Now.Add(-ago)) }

// whole is ready with a clock on a whole second.
func whole() *world {
	w := ready()
	w.o.Now = w.o.Now.Truncate(time.Second)
	w.o.Server.Status = metal.ServerStatus{}
	return w
}

// voided is the reason why the boot ended in this decision; empty when it lives.
func voided(p lifecycle.Plan) string {
	if p.Record != nil && p.Record.Boot != nil && p.Record.Boot.Phase == metal.BootVoid {
		return p.Record.Boot.Reason
	}
	return ""
}

// TestWhenABootEnds: each wait of a boot ends exactly when it says, also when the clock stands wrong.
func TestWhenABootEnds(t *testing.T) {
	const second = time.Second
	for name, c := range map[string]struct {
		set   func(w *world, ago time.Duration)
		lasts time.Duration
		why   string
	}{
		"switching off": {func(w *world, ago time.Duration) {
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootSwitchingOff, At: at(w, ago)}
		}, 5*time.Minute + second, reasons.BootNotHonored},
		"switching on": {func(w *world, ago time.Duration) {
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootSwitchingOn, At: at(w, ago)}
			w.o.Power.State = metal.PowerOff
		}, 5*time.Minute + second, reasons.BootNotHonored},
		"booting": {func(w *world, ago time.Duration) {
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootBooting, Deadline: metav1.NewTime(at(w, ago).Add(20*time.Minute + 1))}
		}, 20 * time.Minute, reasons.BootNotHonored},
		"without a report": {func(w *world, ago time.Duration) {
			w.record().Boot.At, w.o.Inventory, w.record().Wipe = at(w, ago), nil, nil
		}, 10 * time.Minute, reasons.BootNotHonored},
		"without a word": {func(w *world, ago time.Duration) {
			w.record().Boot.At, w.record().Wipe.GrantedAt = at(w, ago), at(w, time.Hour)
		}, 10 * time.Minute, reasons.WipeTimeout},
		"without a word since the grant": {func(w *world, ago time.Duration) {
			w.record().Boot.At, w.record().Wipe.GrantedAt = at(w, time.Hour), at(w, ago)
		}, 10 * time.Minute, reasons.WipeTimeout},
		"without another word": {func(w *world, ago time.Duration) {
			w.record().Boot.At, w.record().Wipe.GrantedAt = at(w, time.Hour), at(w, time.Hour)
			w.o.Server.Status.Wipe = &metal.WipeStatus{ID: w.record().Wipe.ID, Generation: 1, UpdatedAt: at(w, ago)}
		}, 10 * time.Minute, reasons.WipeTimeout},
		"off is not proven": {func(w *world, ago time.Duration) {
			_ = receipt(w, nil, nil)
			w.record().Wipe.Receipt.At = at(w, ago+second)
			w.read("On")
		}, 5 * time.Minute, reasons.OffNotProven},
	} {
		w := whole()
		c.set(w, c.lasts)
		if p := lifecycle.Decide(w.o); voided(p) != "" || p.After == 0 {
			t.Errorf("%s: %s at the last moment, again in %s", name, voided(p), p.After)
		}
		w = whole()
		c.set(w, c.lasts+second)
		if p := lifecycle.Decide(w.o); voided(p) != c.why {
			t.Errorf("%s: %q after the last moment", name, voided(p))
		}
		w = whole()
		c.set(w, c.lasts/2)
		if p := lifecycle.Decide(w.o); voided(p) != "" {
			t.Errorf("%s: %s halfway", name, voided(p))
		}
	}
	for name, set := range map[string]func(w *metal.WipeStatus){
		"of another wipe":       func(w *metal.WipeStatus) { w.ID = "other" },
		"of another generation": func(w *metal.WipeStatus) { w.Generation = 7 },
	} {
		w := whole()
		w.record().Boot.At, w.record().Wipe.GrantedAt = at(w, time.Hour), at(w, time.Hour)
		w.o.Server.Status.Wipe = &metal.WipeStatus{ID: w.record().Wipe.ID, Generation: 1, UpdatedAt: at(w, 0)}
		set(w.o.Server.Status.Wipe)
		if p := lifecycle.Decide(w.o); voided(p) != reasons.WipeTimeout {
			t.Errorf("the word %s keeps it alive", name)
		}
	}
}

// TestWhenABootIsStopped: in every phase before the claim, whatever takes the yes back ends it; limits and silence do not.
func TestWhenABootIsStopped(t *testing.T) {
	for _, phase := range []metal.BootPhase{metal.BootSwitchingOff, metal.BootSwitchingOn, metal.BootBooting} {
		for name, c := range oneObstacle {
			w := whole()
			w.o.Power = lifecycle.PowerReading{Reason: reasons.BMCUnreachable}
			c.f(&w.o, w.record())
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: phase, StartedAt: at(w, 0), At: at(w, 0), Deadline: metav1.NewTime(w.o.Now.Add(time.Minute))}
			p := lifecycle.Decide(w.o)
			stops := map[string]bool{
				"a workload": true, "the yes taken back": true, "quarantine": true, "a conflict": true, "paused": true, "a dry run": true, "clean already": true,
				"answered badly": true,
			}[name]
			why := c.reason
			switch name {
			case "answered badly":
				why = reasons.Quarantined
			case "a workload":
				why = reasons.BindingIncomplete
			}
			if got := voided(p); (got == why) != stops || got != "" && !stops {
				t.Errorf("%s, %s: %q", phase, name, got)
			}
		}
	}
	w := whole()
	w.record().Boot.Phase = "Newer" // of a later release
	if p := lifecycle.Decide(w.o); voided(p) != reasons.BootNotHonored {
		t.Errorf("an unknown phase: %q", voided(p))
	}
}

// TestAttempts: three in an hour, and a pause after a contested one; a person's gesture counts anew.
func TestAttempts(t *testing.T) {
	last := func(b metal.BootRecord) *world {
		w := whole()
		b.ID, b.Phase = "b", metal.BootVoid
		w.record().Boot, w.o.NewID = &b, "new"
		w.read("Off")
		return w
	}
	attempt := func(w *world) int32 {
		if p := lifecycle.Decide(w.o); p.Record != nil && p.Record.Boot.ID == "new" {
			return p.Record.Boot.Attempt
		}
		return 0
	}
	now := whole()
	ago := func(d time.Duration) metav1.Time { return at(now, d) }
	for name, c := range map[string]struct {
		boot metal.BootRecord
		want int32
	}{
		"a first failure":              {metal.BootRecord{Attempt: 1, Reason: "x", StartedAt: ago(time.Minute)}, 2},
		"a second failure":             {metal.BootRecord{Attempt: 2, Reason: "x", StartedAt: ago(time.Minute)}, 3},
		"a second one, an hour ago":    {metal.BootRecord{Attempt: 2, Reason: "x", StartedAt: ago(time.Hour)}, 3},
		"a second one, longer ago":     {metal.BootRecord{Attempt: 2, Reason: "x", StartedAt: ago(time.Hour + time.Second)}, 1},
		"a third failure":              {metal.BootRecord{Attempt: 3, Reason: "x", StartedAt: ago(time.Minute)}, 0},
		"a third one, nearly an hour":  {metal.BootRecord{Attempt: 3, Reason: "x", StartedAt: ago(time.Hour - time.Second)}, 0},
		"a third one, an hour ago":     {metal.BootRecord{Attempt: 3, Reason: "x", StartedAt: ago(time.Hour)}, 1},
		"a third one, from the future": {metal.BootRecord{Attempt: 3, Reason: "x", StartedAt: ago(-2 * time.Hour)}, 1},
		"one that did what it was for": {metal.BootRecord{Attempt: 2, StartedAt: ago(time.Minute)}, 1},
		"one that a person asked for":  {metal.BootRecord{Attempt: 0, Reason: "x", StartedAt: ago(time.Minute)}, 1},
		"contested just now":           {metal.BootRecord{Attempt: 1, Reason: reasons.BootVoided, At: ago(2*time.Minute - time.Second), StartedAt: ago(time.Hour)}, 0},
		"contested a moment ago":       {metal.BootRecord{Attempt: 1, Reason: reasons.BootVoided, At: ago(2 * time.Minute), StartedAt: ago(time.Hour)}, 2},
	} {
		w := last(c.boot)
		if got := attempt(w); got != c.want {
			t.Errorf("%s: attempt %d, want %d", name, got, c.want)
		}
		if p := lifecycle.Decide(w.o); c.want == 0 && (p.After == 0 || p.After > time.Hour) {
			t.Errorf("%s: again in %s", name, p.After)
		}
	}
	for name, ask := range map[string]func(w *world){
		"accept": func(w *world) { _ = accept(w, nil, []string{"a9", "wipe=S-a"}) },
		"lift": func(w *world) {
			w.record().Quarantine = &metal.QuarantineRecord{Reason: reasons.WipeFailed}
			_ = quarantine(metal.QuarantineLift)(w, nil, []string{"q9"})
		},
	} {
		w := last(metal.BootRecord{Attempt: 3, Reason: "x", StartedAt: ago(time.Minute)})
		w.o.Server.Status.Disks = lifecycle.Decide(ready().o).Disks
		w.o.Server.Status.Disks[0].NeedsConfirmation = true
		ask(w)
		if got := attempt(w); got != 1 {
			t.Errorf("after %s: attempt %d", name, got)
		}
	}
}

// TestPersonSwitchesOn: a boot that trust can rest on is begun where it is of use, and nowhere else.
func TestPersonSwitchesOn(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(w *world)
		want bool
	}{
		"dirty":           {func(*world) {}, true},
		"not wiped yet":   {func(w *world) { w.record().Wipe = nil }, true},
		"Git alone":       {func(w *world) { w.record().Acceptance = nil }, true},
		"out of a backup": {func(w *world) { w.record().Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored} }, true},
		"clean":           {func(w *world) { w.record().Wipe.VerifiedAt = &metav1.Time{Time: epoch} }, false},
		"clean, out of a backup": {func(w *world) {
			w.record().Wipe.VerifiedAt = &metav1.Time{Time: epoch}
			w.record().Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored}
		}, true},
		"not accepted":           {func(w *world) { w.o.Server.Spec.Accepted = false }, false},
		"a workload":             {func(w *world) { w.record().Claim = &metal.ClaimRecord{Name: "web"} }, false},
		"quarantined":            {func(w *world) { w.record().Quarantine = &metal.QuarantineRecord{Reason: "x"} }, false},
		"paused":                 {func(w *world) { w.o.Server.Annotations = map[string]string{lifecycle.PausedAnnotation: ""} }, false},
		"a dry run":              {func(w *world) { w.o.DryRun = true }, false},
		"it is on":               {func(w *world) { w.read("On") }, false},
		"the BMC tells no state": {func(w *world) { w.read(reasons.BMCUnreachable) }, false},
	} {
		w := whole()
		w.o.NewID = "new"
		w.record().Boot = nil
		w.o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p1", Action: metal.PowerActionOn, RequestedAt: at(w, 0)}
		w.read("Off")
		c.f(w)
		p := lifecycle.Decide(w.o)
		got := p.Record != nil && p.Record.Boot != nil && p.Record.Boot.ID == "new" && p.Record.Boot.Attempt == 0
		if got != c.want {
			t.Errorf("%s: %+v", name, p.Record.Boot)
		}
		if got && p.Record.Boot.Deadline.Sub(w.o.Now) != 25*time.Minute+time.Second {
			t.Errorf("%s: the deadline is %s", name, p.Record.Boot.Deadline)
		}
	}
}

// TestPersonSwitchedOff: Ingot leaves it so, until somebody wants something again.
func TestPersonSwitchedOff(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(w *world)
		left bool
	}{
		"control":              {func(*world) {}, true},
		"nobody":               {func(w *world) { w.o.Server.Spec.PowerRequest = nil }, false},
		"somebody, on":         {func(w *world) { w.o.Server.Spec.PowerRequest.Action = metal.PowerActionOn }, false},
		"it did not work":      {func(w *world) { w.record().Power.Step = metal.PowerFailed }, true},
		"it was too old":       {func(w *world) { w.record().Power.Step = metal.PowerExpired }, false},
		"accepted since":       {func(w *world) { w.record().Acceptance.At = at(w, 0) }, false},
		"accepted by Git only": {func(w *world) { w.record().Acceptance = nil }, true},
	} {
		w := whole()
		w.o.NewID, w.record().Boot, w.record().Wipe = "new", nil, nil
		w.record().Acceptance.At = at(w, time.Hour)
		w.o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p1", Action: metal.PowerActionOff, RequestedAt: at(w, 30*time.Minute)}
		w.record().Power = &metal.PowerRecord{ID: "p1", Step: metal.PowerDone, At: at(w, 29*time.Minute)}
		w.o.Inventory.Disks = w.o.Inventory.Disks[1:] // the blank one
		w.read("Off")
		c.f(w)
		p := lifecycle.Decide(w.o)
		if begun := p.Record != nil && p.Record.Boot != nil; begun == c.left {
			t.Errorf("%s: %+v", name, p.Record)
		}
	}
}

// TestPendingAction keeps the time of an order that is repeated, and of no other.
func TestPendingAction(t *testing.T) {
	old := &metal.PendingAction{ID: "b", Kind: string(lifecycle.EnsurePowerOff), Since: metav1.NewTime(epoch.Add(-time.Minute))}
	for name, c := range map[string]struct {
		f    func(p *metal.PendingAction)
		want bool
	}{
		"the same":      {func(*metal.PendingAction) {}, true},
		"another id":    {func(p *metal.PendingAction) { p.ID = "c" }, false},
		"another order": {func(p *metal.PendingAction) { p.Kind = string(lifecycle.EnsurePowerOn) }, false},
	} {
		w := whole()
		w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootSwitchingOff, At: at(w, time.Second)}
		w.o.Server.Status.PendingAction = old.DeepCopy()
		c.f(w.o.Server.Status.PendingAction)
		w.o.Power = lifecycle.PowerReading{Reason: reasons.BMCUnreachable, Pending: "b.SwitchingOff.x"}
		if p := lifecycle.Decide(w.o); reflect.DeepEqual(p.Pending, old) != c.want {
			t.Errorf("%s: %+v", name, p.Pending)
		}
	}
}

// TestReport: `ingot why` gets a line for each condition and one for the boot target.
func TestReport(t *testing.T) {
	p := lifecycle.Decide(ready().o)
	rows := map[string]lifecycle.Check{}
	for _, c := range p.Report {
		rows[c.Name] = c
	}
	for _, c := range p.Conditions {
		if row := rows[c.Type]; row.Reason != c.Reason || row.Waiting != (c.Status != lifecycle.True) {
			t.Errorf("%s: %+v", c.Type, row)
		}
	}
	if len(p.Report) != len(p.Conditions)+1 || rows["BootTarget"].Reason != reasons.BootRunning || rows["BootTarget"].Waiting {
		t.Errorf("%+v", p.Report)
	}
}

// TestWarnings: an event warns when a person should look, and only then.
func TestWarnings(t *testing.T) {
	warns := func(typ, before string, f func(w *world)) bool {
		w := ready()
		f(w)
		w.o.Server.Status.Conditions = []metav1.Condition{{Type: typ, Reason: before}}
		for _, e := range lifecycle.Decide(w.o).Events {
			return e.Warning
		}
		t.Errorf("%s: no event", typ)
		return false
	}
	if !warns(reasons.IdentityUnique, reasons.Unique, func(w *world) { w.o.ConflictsWith = []string{"s2"} }) ||
		!warns(reasons.BMCReachable, reasons.BMCAnswers, func(w *world) { w.read(reasons.BMCUnreachable) }) {
		t.Error("no warning of what a person should look at")
	}
	if warns(reasons.BMCReachable, reasons.BMCAnswers, func(w *world) { w.o.Server.Spec.BMC = nil }) ||
		warns(reasons.Registered, reasons.InventoryReported, func(w *world) { w.o.Inventory = nil }) ||
		warns(reasons.IdentityUnique, reasons.IdentityConflict, func(*world) {}) {
		t.Error("a warning of what is in order")
	}
}

// TestMessages say what they are told, and no more names than a person reads.
func TestMessages(t *testing.T) {
	w := ready()
	w.o.ConflictsWith = strings.Fields("s2 s3 s4 s5 s6 s7 s7")
	w.read(reasons.BMCLied)
	w.o.Power.Message = "said on, reads off"
	p := lifecycle.Decide(w.o)
	if m := p.Conditions[0].Message; !strings.Contains(m, "s2, s3, s4, s5, s6 too") {
		t.Error(m)
	}
	if m := p.Conditions[2].Message; !strings.HasSuffix(m, " (said on, reads off)") {
		t.Error(m)
	}
	w = ready()
	w.record().Wipe, w.o.Budget = nil, lifecycle.Budget{Granted: 7, Limit: 3}
	if m := lifecycle.Decide(w.o).Conditions[3].Message; !strings.Contains(m, "7 wipes") || !strings.Contains(m, "3 may be") {
		t.Error(m)
	}
	for _, reason := range []string{reasons.BMCAnswers, reasons.BMCNotAsked} {
		w = ready()
		w.o.Power.Reason, w.o.Power.Message = reason, "old news"
		if m := lifecycle.Decide(w.o).Conditions[2].Message; strings.Contains(m, "old news") {
			t.Error(m)
		}
	}
}

// TestCredentialsAreReadAgain: nothing tells us when a Secret changes.
func TestCredentialsAreReadAgain(t *testing.T) {
	for _, reason := range []string{reasons.CredentialsMissing, reasons.BMCUnauthorized} {
		w := newWorld()
		bmc(w, nil)
		w.read(reason)
		if p := lifecycle.Decide(w.o); p.After != 20*time.Second {
			t.Errorf("%s: again in %s", reason, p.After)
		}
	}
}
