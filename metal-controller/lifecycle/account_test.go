package lifecycle_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// account is a name and a password.
type account struct{ name, password string }

// bmcWorld is a server, its Secret, its BMC with users, and an agent. What is in the fields survives every crash, but for those of the agent.
type bmcWorld struct {
	t      rapid.TB
	server *metal.Server
	now    time.Time
	ids    int
	// The Secret: accounts with their ids.
	current, next, old account
	currentID, nextID  string
	// operator is the account of the Secret that a person declared; empty without one.
	operator account
	// users of the BMC that are let in.
	users map[string]string
	// slots is how many users the BMC has room for, reachable whether it answers over the network.
	slots     int
	reachable bool
	// off is the power as the BMC says.
	off bool
	// given counts the passwords that were handed out, by user.
	given map[string]bool
}

func newBMCWorld(t rapid.TB, declared bool) *bmcWorld {
	w := &bmcWorld{t: t, now: epoch, users: map[string]string{}, slots: 3, reachable: true, given: map[string]bool{}}
	w.server = &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Spec: metal.ServerSpec{Accepted: true, Identity: &metal.Identity{MACs: []string{"52:54:00:00:00:01"}}}}
	w.server.Spec.Record = &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: metav1.NewTime(epoch.Add(-time.Hour)), RequestID: "a1", Level: metal.WipeClear},
		ManagedBy:  &metal.ManagedBy{Installation: "here", Epoch: 1},
	}
	if declared {
		w.server.Spec.BMC = &metal.BMC{Protocol: metal.BMCIPMI, Endpoint: "192.0.2.9", CredentialsSecret: "bmc"}
		w.operator = account{"admin", "admins"}
		w.users["admin"] = "admins"
	}
	w.claimed("b1")
	return w
}

// claimed is a boot whose agent was there a while ago, and the wipe of which counts.
func (w *bmcWorld) claimed(id string) {
	at := metav1.NewTime(w.now.Add(-5 * time.Minute))
	r := w.server.Spec.Record
	r.Boot = &metal.BootRecord{ID: id, Phase: metal.BootClaimed, StartedAt: at, At: at, Claimant: "k1", ClaimedAt: &at, Target: metal.BootTargetAgent}
	wiped := "b0"
	if w.server.Spec.BMC == nil {
		r.Boot.RestartedBy, wiped = "k0", id
		r.Agent = &metal.AgentRecord{BootID: id, Key: "k1", HeardAt: metav1.NewTime(w.now)}
	}
	if r.Wipe == nil || wiped == id {
		r.Wipe = &metal.WipeRecord{ID: "w-" + id, Level: metal.WipeClear, GrantedAt: at, Generation: 1, BootID: wiped, VerifiedAt: &at}
	}
}

func (w *bmcWorld) observe() lifecycle.Observation {
	w.ids++
	o := lifecycle.Observation{
		Now: w.now, Installation: "here", Server: w.server, NewID: fmt.Sprintf("%08d-id", w.ids), Budget: lifecycle.Budget{Limit: 5}, AgentHeard: w.now,
		Inventory: &metal.ServerInventorySpec{Arch: "amd64", IPMI: true},
		Power:     lifecycle.PowerReading{Reason: reasons.BMCAnswers, State: metal.PowerOn, At: w.now},
		Account:   lifecycle.AccountView{Next: w.nextID, Current: w.currentID, Old: w.old.name != ""},
	}
	if b := w.server.Spec.Record.Boot; b != nil {
		o.Inventory.Agent = metal.AgentInfo{BootID: b.ID, Proven: 1}
	}
	if w.off {
		o.Power.State = metal.PowerOff
	}
	if w.server.Spec.BMC == nil {
		o.Power = lifecycle.PowerReading{}
	}
	if w.nextID != "" {
		switch {
		case !w.reachable:
			o.Account.Login, o.Account.LoginMessage = reasons.BMCUnreachable, "no answer"
		case w.users[w.next.name] == w.next.password:
			o.Account.Login = reasons.BMCAnswers
		default:
			o.Account.Login, o.Account.LoginMessage = reasons.BMCUnauthorized, "refused"
		}
	}
	return o
}

// reconcile decides and writes; it is killed before its action when crash is set. It returns the action.
func (w *bmcWorld) reconcile(crash bool) lifecycle.Action {
	p := lifecycle.Decide(w.observe())
	if p.Record != nil {
		w.server.Spec.Record = p.Record
	}
	if p.BMC != nil {
		w.server.Spec.BMC = p.BMC
	}
	if !crash {
		w.act(p.Action)
	}
	return p.Action
}

// act is what metal-controller/accounts does to the Secret: each action in one write, by the id.
func (w *bmcWorld) act(a lifecycle.Action) {
	switch {
	case a.Kind == lifecycle.KeepAccount:
		if w.nextID != a.ID {
			w.nextID, w.next = a.ID, account{w.server.Spec.Record.BMCAccount.Username, "p-" + a.ID}
		}
	case a.Kind == lifecycle.TakeAccount:
		if w.nextID == a.ID {
			if w.currentID != "" {
				w.old = w.current
			}
			w.currentID, w.current, w.nextID, w.next = w.nextID, w.next, "", account{}
		}
	case a.Kind == lifecycle.ForgetAccount:
		if w.currentID == a.ID {
			w.old = account{}
		}
	}
}

// agent carries its task out, as far as it gets; done says that it told the controller.
func (w *bmcWorld) agent(part int, tell bool) {
	o := w.observe()
	b := w.server.Spec.Record.Boot
	c := lifecycle.Caller{BootID: b.ID, Key: b.Claimant}
	t := lifecycle.HandOut(o, c)
	if t.Kind != lifecycle.TaskAccount {
		return
	}
	g := t.Account
	report := lifecycle.AccountReport{ID: g.ID(), Generation: g.Generation(), Slot: 3, Channel: 1, Address: "192.0.2.7"}
	for _, name := range g.Drop() {
		delete(w.users, name)
	}
	if g.Username() == "" {
		report.Dropped = true
	} else {
		if w.nextID != g.ID() || w.next.name != g.Username() {
			w.t.Fatalf("%s is handed out before its password is kept", g.Username())
		}
		w.given[g.Username()] = true
		switch {
		case part == 0: // killed before it enabled the user
			return
		case len(w.users) >= w.slots:
			report.Error = "no free slot"
		default:
			w.users[w.next.name] = w.next.password
		}
	}
	if !tell {
		return
	}
	if r, v := lifecycle.ReportAccount(w.server, c, report, w.now); v == lifecycle.VerdictFirst {
		w.server.Spec.Record = r
	}
}

// recorded are the accounts that are written down where the server says.
func (w *bmcWorld) recorded() []account {
	all := []account{w.current, w.next, w.old}
	if b := w.server.Spec.BMC; b != nil && b.CredentialsSecret == "bmc" {
		all = append(all, w.operator)
	}
	return all
}

// valid wants one recorded account that the BMC takes, wherever the server has a BMC; and that what Ingot would use now is one.
func (w *bmcWorld) valid() {
	w.t.Helper()
	if w.server.Spec.BMC == nil {
		return
	}
	if !slices.ContainsFunc(w.recorded(), func(a account) bool { return a.name != "" && w.users[a.name] == a.password }) {
		w.t.Fatalf("the BMC takes %v, and recorded are %v", w.users, w.recorded())
	}
	used := w.current
	if w.server.Spec.BMC.CredentialsSecret == "bmc" {
		used = w.operator
	}
	if used.name == "" || w.users[used.name] != used.password {
		w.t.Fatalf("Ingot uses %v, and the BMC takes %v", used, w.users)
	}
}

func (w *bmcWorld) ask(id string) {
	w.server.Spec.BMCRequest = &metal.BMCRequest{ID: id, Action: metal.BMCRotate, RequestedAt: metav1.NewTime(w.now)}
}

func (w *bmcWorld) record() *metal.BMCAccountRecord { return w.server.Spec.Record.BMCAccount }

// calm lets everything work until the account is done.
func (w *bmcWorld) calm() {
	w.reachable = true
	for i := range 400 {
		w.now = w.now.Add(20 * time.Second)
		if i%20 == 0 {
			w.claimed(fmt.Sprintf("calm%d-%d", w.ids, i))
		}
		w.reconcile(false)
		w.valid()
		w.agent(1, true)
		w.valid()
		if a := w.record(); a != nil && a.Step == metal.BMCAccountDone {
			return
		}
	}
	w.t.Fatalf("at rest the account is %+v", w.record())
}

// TestAccountKilledAnywhere: whatever is killed when, wherever the server has a BMC one recorded account is let in, and the one in use is; after that it comes to rest
// with one account of Ingot's own at the BMC.
func TestAccountKilledAnywhere(t *testing.T) {
	steps := map[metal.BMCAccountStep]bool{}
	rapid.Check(t, func(t *rapid.T) {
		declared := rapid.Bool().Draw(t, "declared")
		w := newBMCWorld(t, declared)
		w.slots = rapid.IntRange(3, 4).Draw(t, "slots")
		for i := range rapid.IntRange(1, 60).Draw(t, "length") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2, 3:
				w.reconcile(rapid.Bool().Draw(t, "killed"))
			case 4, 5:
				w.agent(rapid.IntRange(0, 1).Draw(t, "part"), rapid.Bool().Draw(t, "tells"))
			case 6:
				w.ask(fmt.Sprintf("r%d", i))
			case 7:
				w.reachable = !w.reachable
			case 8:
				w.claimed(fmt.Sprintf("b%d", i+2))
			case 9:
				if s := lifecycle.VoidBoot(w.server, w.server.Spec.Record.Boot.ID, reasons.BootVoided, w.now); s != nil {
					w.server.Spec.Record = s
				}
			}
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second)
			if a := w.record(); a != nil {
				steps[a.Step] = true
			}
			w.valid()
		}
		if w.record() == nil {
			w.ask("last")
		}
		w.calm()
		ours := slices.DeleteFunc(slices.Collect(maps.Keys(w.users)), func(n string) bool { return !strings.HasPrefix(n, "ingot-") })
		if len(ours) != 1 || ours[0] != w.record().Username || w.current.name != ours[0] || w.old.name != "" || w.server.Spec.BMC.CredentialsSecret != "ingot-bmc-s1" {
			t.Fatalf("at rest the BMC has %v, in use is %v, old is %v, spec.bmc %+v", ours, w.current.name, w.old.name, w.server.Spec.BMC)
		}
		if w.operator.name != "" && w.users["admin"] != "admins" {
			t.Fatal("the operator's account was touched")
		}
	})
	if len(steps) != 8 {
		t.Errorf("only the steps %v were reached", slices.Sorted(maps.Keys(steps)))
	}
}

// TestAccountBegins: by itself only where nothing is declared, a person did not say never, the machine has a way to its BMC, and its proven boot's wipe counts.
func TestAccountBegins(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bmcWorld, *lifecycle.Observation)
		begins bool
	}{
		"control":         {begins: true},
		"no way to a BMC": {change: func(_ *bmcWorld, o *lifecycle.Observation) { o.Inventory.IPMI = false }},
		"never":           {change: func(w *bmcWorld, _ *lifecycle.Observation) { w.server.Spec.BMCSetup = metal.BMCSetupNever }},
		"not accepted":    {change: func(w *bmcWorld, _ *lifecycle.Observation) { w.server.Spec.Accepted = false }},
		"paused": {change: func(w *bmcWorld, _ *lifecycle.Observation) {
			w.server.Annotations = map[string]string{lifecycle.PausedAnnotation: ""}
		}},
		"quarantined": {change: func(w *bmcWorld, _ *lifecycle.Observation) {
			w.server.Spec.Record.Quarantine = &metal.QuarantineRecord{Reason: "x"}
		}},
		"dry run": {change: func(_ *bmcWorld, o *lifecycle.Observation) { o.DryRun = true }},
		"of a backup": {change: func(w *bmcWorld, _ *lifecycle.Observation) {
			w.server.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored}
		}},
		"claimed by a workload": {change: func(w *bmcWorld, _ *lifecycle.Observation) {
			w.server.Spec.Record.Claim = &metal.ClaimRecord{BindingID: "x", BoundAt: &metav1.Time{Time: w.now}}
		}},
		"another installation's":     {change: func(w *bmcWorld, _ *lifecycle.Observation) { w.server.Spec.Record.ManagedBy.Installation = "there" }},
		"the wipe is not verified":   {change: func(w *bmcWorld, _ *lifecycle.Observation) { w.server.Spec.Record.Wipe.VerifiedAt = nil }},
		"the inventory of elsewhere": {change: func(_ *bmcWorld, o *lifecycle.Observation) { o.Inventory.Agent.Proven = 0 }},
		"no claimed boot":            {change: func(w *bmcWorld, _ *lifecycle.Observation) { w.server.Spec.Record.Boot.Phase = metal.BootVoid }},
	} {
		w := newBMCWorld(t, false)
		o := w.observe()
		if c.change != nil {
			c.change(w, &o)
		}
		r := lifecycle.Decide(o).Record
		if begun := r != nil && r.BMCAccount != nil; begun != c.begins {
			t.Errorf("%s: begun is %v", name, begun)
		}
	}
	if r := lifecycle.Decide(newBMCWorld(t, true).observe()).Record; r != nil && r.BMCAccount != nil {
		t.Error("a declared BMC gets an account that nobody asked for")
	}
}

// TestAccountAsked: a person's wish counts once, and for ten minutes.
func TestAccountAsked(t *testing.T) {
	w := newBMCWorld(t, true)
	w.ask("r1")
	w.now = w.now.Add(11 * time.Minute)
	w.reconcile(false)
	if w.record() != nil || w.server.Spec.Record.BMCRequest != "r1" {
		t.Errorf("an old wish: %+v", w.server.Spec.Record)
	}
	w.ask("r2")
	w.calm()
	first := w.record().Username
	w.reconcile(false)
	if w.record().Username != first {
		t.Error("one wish was done twice")
	}
	w.ask("r3")
	w.calm()
	if w.record().Username == first || w.users[first] != "" {
		t.Errorf("after a rotation the BMC has %v", w.users)
	}
}

// TestAccountGivenToProvenOnly: no one but the claimant of the live boot is told, or believed.
func TestAccountGivenToProvenOnly(t *testing.T) {
	w := newBMCWorld(t, true)
	w.ask("r1")
	for w.record() == nil || w.record().Step != metal.BMCAccountSetting {
		w.now = w.now.Add(time.Second)
		w.reconcile(false)
	}
	claimant := lifecycle.Caller{BootID: "b1", Key: "k1"}
	good := lifecycle.AccountReport{ID: w.record().ID, Generation: 1, Slot: 3, Channel: 1, Address: "192.0.2.7"}
	for name, c := range map[string]lifecycle.Caller{"another key": {BootID: "b1", Key: "k2"}, "another boot": {BootID: "b0", Key: "k1"}, "nobody": {}} {
		if task := lifecycle.HandOut(w.observe(), c); task.Kind == lifecycle.TaskAccount {
			t.Errorf("%s is told", name)
		}
		if _, v := lifecycle.ReportAccount(w.server, c, good, w.now); v != lifecycle.VerdictRefused {
			t.Errorf("%s is believed", name)
		}
	}
	for name, change := range map[string]func(*lifecycle.AccountReport){
		"another account": func(r *lifecycle.AccountReport) { r.ID = "x" }, "another generation": func(r *lifecycle.AccountReport) { r.Generation = 2 },
		"dropping": func(r *lifecycle.AccountReport) { r.Dropped = true },
	} {
		rep := good
		change(&rep)
		if _, v := lifecycle.ReportAccount(w.server, claimant, rep, w.now); v != lifecycle.VerdictRefused {
			t.Errorf("a report of %s is believed", name)
		}
	}
	if task := lifecycle.HandOut(w.observe(), claimant); task.Kind != lifecycle.TaskAccount || task.Account.Username() != w.record().Username {
		t.Errorf("control: the claimant gets %+v", task)
	}
	r, v := lifecycle.ReportAccount(w.server, claimant, good, w.now)
	if v != lifecycle.VerdictFirst || r.BMCAccount.Step != metal.BMCAccountChecking {
		t.Fatalf("control: %v", v)
	}
	w.server.Spec.Record = r
	if _, v := lifecycle.ReportAccount(w.server, claimant, good, w.now); v != lifecycle.VerdictAgain {
		t.Errorf("the same report again: %v", v)
	}
}

// TestAccountIsToldInAMoment: an agent that has just claimed its boot waits for a second machine to contradict it, and is told without anything else happening.
func TestAccountIsToldInAMoment(t *testing.T) {
	w := newBMCWorld(t, true)
	w.ask("r1")
	for w.record() == nil || w.record().Step != metal.BMCAccountSetting {
		w.now = w.now.Add(time.Second)
		w.reconcile(false)
	}
	at := metav1.NewTime(w.now)
	w.server.Spec.Record.Boot.ClaimedAt = &at
	c := lifecycle.Caller{BootID: "b1", Key: "k1"}
	task := lifecycle.HandOut(w.observe(), c)
	if task.Kind != lifecycle.TaskWait || task.After <= 0 || task.After > time.Minute {
		t.Fatalf("at once it gets %+v", task)
	}
	w.now = w.now.Add(task.After)
	if task := lifecycle.HandOut(w.observe(), c); task.Kind != lifecycle.TaskAccount {
		t.Errorf("after that it gets %+v", task)
	}
}

// TestAccountAddress: where no BMC is declared, the agent's address is used only if a BMC can have it.
func TestAccountAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		"192.0.2.7": true, "10.1.2.3": true, "2001:db8::7": true, "": false, "0.0.0.0": false, "127.0.0.1": false, "::1": false, "224.0.0.1": false,
		"255.255.255.255": false, "169.254.1.1": false, "fe80::1": false, "bmc.example": false, "192.0.2.7:623": false, "::ffff:127.0.0.1": false,
	} {
		w := newBMCWorld(t, false)
		for w.record() == nil || w.record().Step != metal.BMCAccountSetting {
			w.now = w.now.Add(time.Second)
			w.reconcile(false)
		}
		r, _ := lifecycle.ReportAccount(w.server, lifecycle.Caller{BootID: "b1", Key: "k1"},
			lifecycle.AccountReport{ID: w.record().ID, Generation: 1, Address: address}, w.now)
		if used := r.BMCAccount.Step == metal.BMCAccountChecking; used != ok {
			t.Errorf("%q: used is %v", address, used)
		}
	}
}

// TestAccountContested: a second machine before the account is in use makes its password worthless for ever.
func TestAccountContested(t *testing.T) {
	w := newBMCWorld(t, false)
	for w.record() == nil || w.record().Step != metal.BMCAccountTaking {
		w.now = w.now.Add(5 * time.Second)
		w.reconcile(false)
		w.agent(1, true)
	}
	for range 3 {
		w.now = w.now.Add(time.Minute)
		w.reconcile(false)
	}
	if w.server.Spec.BMC != nil {
		t.Fatal("spec.bmc is written while the boot may be contradicted")
	}
	first := w.record().Username
	r, _ := lifecycle.Await(w.server, lifecycle.Caller{BootID: "b7", Key: "k7"}, w.now)
	w.server.Spec.Record = r
	for range 60 {
		w.now = w.now.Add(time.Minute)
		w.reconcile(false)
	}
	if w.server.Spec.BMC != nil || !w.record().Forfeited {
		t.Fatalf("a contested account is used: %+v", w.record())
	}
	w.calm()
	if w.current.name == first || w.users[first] != "" {
		t.Errorf("in use is %v, the BMC has %v", w.current.name, w.users)
	}
}
