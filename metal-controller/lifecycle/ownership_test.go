package lifecycle_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// moved is a server that runs a workload and is managed by "here", as epoch 3.
func movedServer() *metal.Server {
	at := metav1.NewTime(epoch.Add(-time.Hour).Truncate(time.Second))
	disk := metal.DiskID{WWID: "naa.1"}
	return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1", UID: "u-here"}, Spec: metal.ServerSpec{
		Accepted: true, Identity: &metal.Identity{MACs: []string{"52:54:00:00:00:01"}}, BMC: &metal.BMC{Endpoint: "bmc", CredentialsSecret: "x"},
		Record: &metal.ServerRecord{
			ManagedBy: &metal.ManagedBy{Installation: "here", Epoch: 3, Object: "u-here"}, Acceptance: &metal.AcceptanceRecord{At: at, Disks: []metal.DiskID{disk}},
			Wipe:      &metal.WipeRecord{ID: "w", Disks: []metal.DiskID{disk}, GrantedAt: at, Generation: 1, BootID: "b", VerifiedAt: &at},
			Claim:     &metal.ClaimRecord{Namespace: "prod", Name: "web", BindingID: "b1", At: at, BoundAt: &at, ConfigAt: &at},
			Installed: &metal.InstalledRecord{BootID: "o", BindingID: "b1", At: at, RunningAt: &at, EverySeconds: 20, HeardAt: &at},
		},
	}}
}

// leaving is what the source sees while clusterctl holds the Cluster.
func leaving() lifecycle.Observation {
	return lifecycle.Observation{
		Now: epoch, Installation: "here", Server: movedServer(), Budget: lifecycle.Budget{Limit: 5}, NewID: "n",
		Power:    lifecycle.PowerReading{Reason: reasons.BMCAnswers, State: metal.PowerOn, At: epoch},
		Claim:    lifecycle.ClaimView{Found: true, Bound: true, UID: "c-here", PausedByMove: epoch.Add(-time.Minute)},
		Passport: lifecycle.PassportView{Found: true, CreatedAt: epoch.Add(-time.Hour)},
	}
}

// arrived is what the target sees of it once its Cluster goes on there, as the mover leaves it.
func arrived() lifecycle.Observation {
	o := leaving()
	o.Installation, o.Server.UID, o.Server.Spec.BMC = "there", "u-there", nil
	let := o.Server.DeepCopy()
	at := metav1.NewTime(epoch.Add(-time.Minute).Truncate(time.Second))
	let.Spec.Record.ManagedBy.LetGo = &metal.LetGo{At: at, BindingID: "b1", ClaimUID: "c-here", PackedAt: &at}
	let.Spec.BMC = &metal.BMC{Endpoint: "bmc", CredentialsSecret: "x"}
	o.Passport.Content = lifecycle.PassportOf(let, &metal.ServerInventorySpec{System: metal.SystemInfo{Serial: "SN"}})
	o.Claim = lifecycle.ClaimView{Found: true, Bound: true, UID: "c-there", ClusterGoes: true}
	return o
}

func managed(o lifecycle.Observation) *metal.ManagedBy {
	if p := lifecycle.Decide(o); p.Record != nil {
		return p.Record.ManagedBy
	}
	return o.Server.Spec.Record.ManagedBy
}

// TestLetGo: a server is let go with its claim only while clusterctl holds the Cluster, and only when nothing is under way on it.
func TestLetGo(t *testing.T) {
	if m := managed(leaving()); m.LetGo == nil || m.LetGo.BindingID != "b1" || m.LetGo.ClaimUID != "c-here" || m.LetGo.PackedAt != nil || m.Epoch != 3 {
		t.Fatalf("control: %+v", m)
	}
	for name, change := range map[string]func(*lifecycle.Observation){
		"clusterctl does not hold the Cluster": func(o *lifecycle.Observation) { o.Claim.PausedByMove = time.Time{} },
		"it only saves to a folder":            func(o *lifecycle.Observation) { o.Claim.PausedByMove = epoch.Add(-5 * time.Second) },
		"there is no passport":                 func(o *lifecycle.Observation) { o.Passport = lifecycle.PassportView{} },
		"the passport would stay behind":       func(o *lifecycle.Observation) { o.Passport.CreatedAt = epoch },
		"another installation's":               func(o *lifecycle.Observation) { o.Server.Spec.Record.ManagedBy.Installation = "other" },
		"an order is under way":                func(o *lifecycle.Observation) { o.Power.Pending = "x" },
		"a boot is under way": func(o *lifecycle.Observation) {
			o.Server.Spec.Record.Boot = &metal.BootRecord{ID: "z", Phase: metal.BootBooting, Target: metal.BootTargetOS, BindingID: "b1", Deadline: metav1.NewTime(epoch.Add(time.Hour))}
		},
		"it is not installed": func(o *lifecycle.Observation) { o.Server.Spec.Record.Installed = nil },
		"it is released": func(o *lifecycle.Observation) {
			o.Server.Spec.Record.Release = &metal.ReleaseRecord{BindingID: "b1", At: metav1.NewTime(epoch)}
		},
		"it is from a backup": func(o *lifecycle.Observation) {
			o.Server.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: metav1.NewTime(epoch)}
		},
		"a person asked for power": func(o *lifecycle.Observation) {
			o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionCycle, RequestedAt: metav1.NewTime(epoch)}
		},
	} {
		o := leaving()
		change(&o)
		if m := managed(o); m.LetGo != nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// TestPassportFirst: the claim may be moved only after the passport of this very hand-over was written.
func TestPassportFirst(t *testing.T) {
	o := leaving()
	o.Server.Spec.Record = lifecycle.Decide(o).Record
	p := lifecycle.Decide(o)
	if p.Action.Kind != lifecycle.WritePassport || p.Record != nil {
		t.Fatalf("%+v", p)
	}
	older := o.Server.DeepCopy()
	older.Spec.Record.ManagedBy.Epoch--
	for name, c := range map[string]struct {
		content *lifecycle.Passport
		packed  bool
	}{"none": {nil, false}, "an earlier one": {lifecycle.PassportOf(older, nil), false}, "this one": {lifecycle.PassportOf(o.Server, nil), true}} {
		o.Passport.Content = c.content
		if m := managed(o); m.LetGo == nil || (m.LetGo.PackedAt != nil) != c.packed {
			t.Errorf("%s: %+v", name, m.LetGo)
		}
	}
}

// TestTaken: the target takes a server over by its passport alone, once the Cluster goes on there.
func TestTaken(t *testing.T) {
	own := func(o *lifecycle.Observation) *metal.ServerRecord {
		o.Server.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "there", Epoch: 1, Object: "u-there"}}
		return o.Server.Spec.Record
	}
	for name, c := range map[string]struct {
		change func(*lifecycle.Observation)
		epoch  int64 // 0: not taken
	}{
		"a copy that came along":                {func(*lifecycle.Observation) {}, 4},
		"the very server that was let go":       {func(o *lifecycle.Observation) { o.Server.Spec.Record.ManagedBy.LetGo = &metal.LetGo{} }, 4},
		"one that registered here":              {func(o *lifecycle.Observation) { own(o) }, 4},
		"one that nobody manages yet":           {func(o *lifecycle.Observation) { own(o).ManagedBy = nil }, 4},
		"one that was let go from here earlier": {func(o *lifecycle.Observation) { own(o).ManagedBy.LetGo = &metal.LetGo{BindingID: "b1"} }, 4},
		"one that somebody accepted here":       {func(o *lifecycle.Observation) { own(o).Acceptance = &metal.AcceptanceRecord{At: metav1.NewTime(epoch)} }, 0},
		"another machine": {func(o *lifecycle.Observation) {
			o.Inventory = &metal.ServerInventorySpec{System: metal.SystemInfo{Serial: "other"}}
		}, 0},
		"the same machine": {func(o *lifecycle.Observation) {
			o.Inventory = &metal.ServerInventorySpec{System: metal.SystemInfo{Serial: "SN"}}
		}, 4},
		"the Cluster is paused":               {func(o *lifecycle.Observation) { o.Claim.ClusterGoes = false }, 0},
		"no claim":                            {func(o *lifecycle.Observation) { o.Claim = lifecycle.ClaimView{ClusterGoes: true} }, 0},
		"the claim is deleted":                {func(o *lifecycle.Observation) { o.Claim.Deleting = true }, 0},
		"the claim moves on":                  {func(o *lifecycle.Observation) { o.Claim.Moving = true }, 0},
		"the passport is old":                 {func(o *lifecycle.Observation) { o.Now = epoch.Add(2 * time.Hour) }, 0},
		"it was not let go":                   {func(o *lifecycle.Observation) { o.Passport.Content.Record.ManagedBy.LetGo = nil }, 0},
		"a person let it go, and not a claim": {func(o *lifecycle.Observation) { o.Passport.Content.Record.ManagedBy.LetGo.BindingID = "" }, 0},
		"it is a third one's":                 {func(o *lifecycle.Observation) { o.Server.Spec.Record.ManagedBy.Installation = "third" }, 0},
		"no passport":                         {func(o *lifecycle.Observation) { o.Passport = lifecycle.PassportView{} }, 0},
	} {
		o := arrived()
		c.change(&o)
		p := lifecycle.Decide(o)
		if p.Taken != (c.epoch > 0) {
			t.Errorf("%s: %+v", name, p)
			continue
		}
		if !p.Taken {
			if p.Action.Kind != lifecycle.NoAction {
				t.Errorf("%s: %+v", name, p.Action)
			}
			continue
		}
		r := p.Record
		if *r.ManagedBy != (metal.ManagedBy{Installation: "there", Epoch: c.epoch, Object: "u-there"}) || r.Claim.BindingID != "b1" || r.Wipe.VerifiedAt == nil ||
			r.Installed.EverySeconds != 0 || r.Installed.HeardAt != nil || p.Action.Kind != lifecycle.NoAction || p.BMC == nil || p.BMC.Endpoint != "bmc" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestYesComesAlong: the yes of where the server was counts for what registered here and nobody touched; no word that a person left here is changed, nor is one made up.
func TestYesComesAlong(t *testing.T) {
	registered := func(o *lifecycle.Observation) {
		o.Server.Spec.Accepted, o.Server.Spec.Record = false, &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "there", Epoch: 1, Object: "u-there"}}
	}
	for name, c := range map[string]struct {
		change       func(*lifecycle.Observation)
		taken, comes bool
	}{
		"one that registered here": {registered, true, true},
		"with a person's word": {func(o *lifecycle.Observation) {
			registered(o)
			o.Claim.ClusterGoes = false
			o.Server.Spec.OwnerRequest = &metal.OwnerRequest{ID: "q", Action: metal.OwnerAdopt, Epoch: 3, RequestedAt: metav1.NewTime(o.Now)}
		}, true, true},
		"nobody said it there":              {func(o *lifecycle.Observation) { registered(o); o.Passport.Content.Accepted = false }, true, false},
		"somebody took it back in the copy": {func(o *lifecycle.Observation) { o.Server.Spec.Accepted = false }, true, false},
		"somebody took it back where it was let go": {func(o *lifecycle.Observation) {
			o.Server.Spec.Accepted = false
			o.Server.Spec.Record.ManagedBy = &metal.ManagedBy{Installation: "there", Epoch: 2, Object: "u-there", LetGo: &metal.LetGo{BindingID: "b1"}}
		}, true, false},
		"it is not taken": {func(o *lifecycle.Observation) { registered(o); o.Claim.ClusterGoes = false }, false, false},
	} {
		o := arrived()
		c.change(&o)
		if p := lifecycle.Decide(o); p.Taken != c.taken || p.Accepted != c.comes {
			t.Errorf("%s: taken %t, accepted %t", name, p.Taken, p.Accepted)
		}
	}
}

// TestReturned: a move that ended without the server gives it back to the source, and a claim that came back does not.
func TestReturned(t *testing.T) {
	let := func() lifecycle.Observation {
		o := leaving()
		o.Server.Spec.Record = lifecycle.Decide(o).Record
		o.Claim.PausedByMove, o.Claim.ClusterGoes, o.Claim.Blocks = time.Time{}, true, true
		return o
	}
	if m := managed(let()); m.LetGo != nil || m.Epoch != 4 {
		t.Fatalf("control: %+v", m)
	}
	for name, change := range map[string]func(*lifecycle.Observation){
		"the Cluster is held still":       func(o *lifecycle.Observation) { o.Claim.ClusterGoes = false },
		"the claim is gone":               func(o *lifecycle.Observation) { o.Claim = lifecycle.ClaimView{} },
		"clusterctl deletes it":           func(o *lifecycle.Observation) { o.Claim.Moving = true },
		"another claim of its name":       func(o *lifecycle.Observation) { o.Claim.UID = "later" },
		"a person let the server go":      func(o *lifecycle.Observation) { o.Server.Spec.Record.ManagedBy.LetGo.ClaimUID = "" },
		"it is bound to another one":      func(o *lifecycle.Observation) { o.Claim.Bound = false },
		"the next move waits for nothing": func(o *lifecycle.Observation) { o.Claim.Blocks = false },
		"its passport would travel":       func(o *lifecycle.Observation) { o.Passport.Content = lifecycle.PassportOf(o.Server, nil) },
		"its claim may be moved": func(o *lifecycle.Observation) {
			o.Server.Spec.Record.ManagedBy.LetGo.PackedAt = &o.Server.Spec.Record.ManagedBy.LetGo.At
		},
	} {
		o := let()
		change(&o)
		if m := managed(o); m.LetGo == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// TestTakenBackInOrder: first the claim keeps a move waiting, then the passport is emptied, then the server is managed again; a Cluster that is held in between ends that.
func TestTakenBackInOrder(t *testing.T) {
	o := leaving()
	o.Server.Spec.Record = lifecycle.Decide(o).Record
	o.Passport.Content = lifecycle.PassportOf(o.Server, nil)
	o.Server.Spec.Record = lifecycle.Decide(o).Record
	held := o.Claim
	o.Claim.PausedByMove, o.Claim.ClusterGoes = time.Time{}, true
	p := lifecycle.Decide(o)
	if p.Taken || p.Record == nil || p.Record.ManagedBy.LetGo.PackedAt != nil {
		t.Fatalf("a move waits for nothing: %+v", p)
	}
	o.Server.Spec.Record = p.Record
	if p := lifecycle.Decide(o); p.Taken || p.Action.Kind != lifecycle.NoAction {
		t.Fatalf("before the claim blocks: %+v", p)
	}
	o.Claim.Blocks = true
	if p := lifecycle.Decide(o); p.Taken || p.Action.Kind != lifecycle.EmptyPassport {
		t.Fatalf("with a passport: %+v", p)
	}
	o.Passport.Content = nil
	goes := o.Claim
	o.Claim = held
	if p := lifecycle.Decide(o); p.Taken || p.Action.Kind != lifecycle.WritePassport {
		t.Fatalf("clusterctl holds the Cluster again: %+v", p)
	}
	o.Claim = goes
	if p := lifecycle.Decide(o); !p.Taken || p.Record.ManagedBy.Epoch != 4 || p.Record.ManagedBy.LetGo != nil {
		t.Fatalf("in the end: %+v", p)
	}
}

// TestRecreated: a Server that somebody made anew with a record of ours is as one from a backup.
func TestRecreated(t *testing.T) {
	o := leaving()
	o.Claim = lifecycle.ClaimView{}
	if p := lifecycle.Decide(o); p.Record != nil && p.Record.Unverified != nil {
		t.Fatalf("control: %+v", p.Record)
	}
	o.Server.UID = types.UID("again")
	p := lifecycle.Decide(o)
	if p.Record == nil || p.Record.Unverified == nil || p.Record.Unverified.Reason != reasons.Recreated || p.Record.ManagedBy.Object != "again" || p.Action.Kind != lifecycle.NoAction {
		t.Errorf("%+v", p.Record)
	}
}

// TestOwnerRequest: a person's word counts once, for the hand-over that the person saw, and takes nothing that was not let go without force.
func TestOwnerRequest(t *testing.T) {
	ask := func(o lifecycle.Observation, action metal.OwnerAction, epochOf int64, force bool) lifecycle.Observation {
		o.Server.Spec.OwnerRequest = &metal.OwnerRequest{ID: "q", Action: action, Epoch: epochOf, Force: force, RequestedAt: metav1.NewTime(o.Now)}
		o.Claim, o.Passport = lifecycle.ClaimView{Found: true, Bound: true}, lifecycle.PassportView{}
		return o
	}
	foreign := func() lifecycle.Observation { o := leaving(); o.Installation = "there"; return o }
	if m := managed(ask(leaving(), metal.OwnerLetGo, 3, false)); m.LetGo == nil || m.LetGo.ClaimUID != "" {
		t.Errorf("it was not let go: %+v", m)
	}
	for name, o := range map[string]lifecycle.Observation{
		"another hand-over": ask(leaving(), metal.OwnerLetGo, 2, false), "not ours": ask(foreign(), metal.OwnerLetGo, 3, false),
		"not let go": ask(foreign(), metal.OwnerAdopt, 3, false), "by force, another hand-over": ask(foreign(), metal.OwnerAdopt, 2, true),
		"ours already": ask(leaving(), metal.OwnerAdopt, 3, true),
	} {
		if m := managed(o); m.LetGo != nil || m.Installation != "here" || m.Epoch != 3 {
			t.Errorf("%s: %+v", name, m)
		}
	}
	o := ask(foreign(), metal.OwnerAdopt, 3, true)
	if r := lifecycle.Decide(o).Record; r == nil || r.ManagedBy.Installation != "there" || r.ManagedBy.Epoch != 4 || r.Unverified == nil || r.Unverified.Reason != reasons.Adopted {
		t.Errorf("by force: %+v", r)
	}
	o = ask(foreign(), metal.OwnerAdopt, 3, false)
	o.Server.Spec.Record.ManagedBy.LetGo = &metal.LetGo{}
	if r := lifecycle.Decide(o).Record; r == nil || r.ManagedBy.Installation != "there" || r.Unverified != nil || r.OwnerRequest != "q" {
		t.Errorf("let go: %+v", r)
	}
	o.Now = o.Now.Add(time.Hour)
	if r := lifecycle.Decide(o).Record; r != nil && r.ManagedBy.Installation == "there" {
		t.Errorf("an old word: %+v", r)
	}
}
