package server_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// accountWorld is a server whose agent is there, in a boot that Ingot expected, and whose BMC has users. The agent's part is the test's.
type accountWorld struct {
	*world
	agent lifecycle.Caller
}

func newAccountWorld(t *testing.T, name string, dieAt int) *accountWorld {
	t.Helper()
	w := newWorld(t, name, withBMC(name))
	w.users, w.plane.on = map[string]string{"root": "secret"}, true
	w.settle()
	w.dieAt, w.dieAfter, w.effects = dieAt, true, 0
	at, verified := metav1.NewTime(w.now.Add(-5*time.Minute).Truncate(time.Second)), metav1.NewTime(w.now.Add(-time.Hour).Truncate(time.Second))
	s := w.server()
	s.Spec.Accepted = true
	s.Spec.BMCRequest = &metal.BMCRequest{ID: "r1", Action: metal.BMCRotate, RequestedAt: metav1.NewTime(w.now)}
	r := s.Spec.Record
	r.Acceptance = &metal.AcceptanceRecord{At: verified, RequestID: "a1", Level: metal.WipeClear}
	r.Wipe = &metal.WipeRecord{ID: "w1", Level: metal.WipeClear, GrantedAt: verified, Generation: 1, BootID: "b0", VerifiedAt: &verified}
	r.Boot = &metal.BootRecord{ID: "b1", Phase: metal.BootClaimed, StartedAt: at, At: at, Deadline: at, ClaimedAt: &at, Claimant: "k1", Target: metal.BootTargetAgent}
	must(w, newClient(t, w.config()).Update(t.Context(), s))
	return &accountWorld{world: w, agent: lifecycle.Caller{BootID: "b1", Key: "k1"}}
}

// TestAccountSurvivesDeath: the process dies after each of its effects, which is before the next one, while an account is set up and then rotated. However that goes, the Secret that
// spec.bmc names is let in by the BMC at every moment, and in the end the fresh account alone is there beside a person's.
func TestAccountSurvivesDeath(t *testing.T) {
	effects := 0
	t.Run("no death", func(t *testing.T) { effects = twoAccounts(t, "acc-calm", -1) })
	if effects < 10 {
		t.Fatalf("control: two accounts have %d effects", effects)
	}
	for at := range effects {
		name := fmt.Sprintf("acc-%d", at)
		t.Run(name, func(t *testing.T) { twoAccounts(t, name, at) })
	}
}

// twoAccounts lives through both, and says how many effects there were.
func twoAccounts(t *testing.T, name string, dieAt int) int {
	w := newAccountWorld(t, name, dieAt)
	first := w.live()
	s := w.server()
	s.Spec.BMCRequest = &metal.BMCRequest{ID: "r2", Action: metal.BMCRotate, RequestedAt: metav1.NewTime(w.now)}
	must(w.world, w.admin.Update(t.Context(), s))
	if second := w.live(); second == first {
		t.Errorf("the account is still %s", first)
	}
	return w.effects
}

// live reconciles, and plays the agent, until the account is done. It returns the name of the one in use.
func (w *accountWorld) live() string {
	w.t.Helper()
	for range 100 {
		_, err := w.reconcile()
		w.valid()
		if errors.Is(err, errCrash) || w.plane.died {
			w.restart()
		} else if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(5 * time.Second)
		s := w.server()
		a, q := s.Spec.Record.BMCAccount, s.Spec.BMCRequest
		if a == nil || s.Spec.Record.BMCRequest != q.ID {
			continue
		}
		w.obey()
		if a.Step == metal.BMCAccountDone {
			w.inUse(s, a)
			return a.Username
		}
	}
	w.t.Fatalf("the account does not get on: %+v", w.server().Spec.Record.BMCAccount)
	return ""
}

// obey is the agent: it does as it is told, and reports.
func (w *accountWorld) obey() {
	w.t.Helper()
	d := w.desk()
	d.Accounts = w.keeper(d.Client)
	task, err := d.Task(w.t.Context(), w.agent, w.name)
	if err != nil || task.Kind != lifecycle.TaskAccount {
		return
	}
	g := task.Account
	for _, name := range g.Drop() {
		delete(w.users, name)
	}
	if g.Username() != "" {
		password, err := d.Password(w.t.Context(), w.name, g)
		must(w.world, err)
		w.users[g.Username()] = password.Reveal()
	}
	w.valid()
	must(w.world, d.ReportAccount(w.t.Context(), w.agent, w.name, lifecycle.AccountReport{ID: g.ID(), Generation: g.Generation(), Dropped: g.Username() == "", Slot: 3, Channel: 1}))
}

// valid wants the BMC to let in what spec.bmc's Secret names.
func (w *accountWorld) valid() {
	w.t.Helper()
	var secret corev1.Secret
	must(w.world, w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: w.server().Spec.BMC.CredentialsSecret}, &secret))
	name, password := string(secret.Data["username"]), string(secret.Data["password"])
	if w.users[name] != password || password == "" {
		w.t.Fatalf("the BMC lets in %v, and recorded is %s", slices.Sorted(maps.Keys(w.users)), name)
	}
}

func (w *accountWorld) inUse(s *metal.Server, a *metal.BMCAccountRecord) {
	w.t.Helper()
	if b := s.Spec.BMC; b.CredentialsSecret != lifecycle.AccountSecret(w.name) || b.Endpoint != "192.0.2.1" || b.Protocol != metal.BMCRedfish || a.Using != a.Username {
		w.t.Errorf("spec.bmc is %+v, the account %+v", b, a)
	}
	if names := slices.Sorted(maps.Keys(w.users)); !slices.Equal(names, []string{a.Username, "root"}) {
		w.t.Errorf("the BMC lets in %v", names)
	}
	held, err := w.keeper(w.admin).Read(w.t.Context(), w.name)
	must(w.world, err)
	if held.Current.Username != a.Username || held.Next.ID != "" || held.Old.ID != "" {
		w.t.Errorf("held are %+v", held)
	}
	if _, err := w.reconcile(); err != nil { // the trial's login is given back
		w.t.Fatal(err)
	}
	if len(w.plane.trials) != 0 {
		w.t.Errorf("logins are left: %v", slices.Collect(maps.Keys(w.plane.trials)))
	}
}

// TestAccountRefused: a user that the BMC does not let in is never used, and a Secret of somebody else in its place is not touched.
func TestAccountRefused(t *testing.T) {
	w := newAccountWorld(t, "acc-refused", -1)
	for w.server().Spec.Record.BMCAccount == nil || w.server().Spec.Record.BMCAccount.Step != metal.BMCAccountChecking {
		_, err := w.reconcile()
		must(w.world, err)
		w.now = w.now.Add(5 * time.Second)
		w.obey()
	}
	for name := range w.users {
		if name != "root" {
			w.users[name] = "another" // as a BMC that cuts passwords
		}
	}
	w.until("the account failed", func(s *metal.Server) bool { return s.Spec.Record.BMCAccount.Step == metal.BMCAccountFailed })
	if s := w.server(); s.Spec.BMC.CredentialsSecret != w.name || s.Spec.Record.BMCAccount.Using != "" {
		t.Errorf("spec.bmc is %+v", s.Spec.BMC)
	}
	w.valid()

	other := newAccountWorld(t, "acc-strange", -1)
	strange := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: lifecycle.AccountSecret(other.name)}, StringData: map[string]string{"mine": "x"}}
	must(other.world, other.admin.Create(t.Context(), strange))
	other.until("the account failed", func(s *metal.Server) bool {
		return s.Spec.Record.BMCAccount != nil && s.Spec.Record.BMCAccount.Step == metal.BMCAccountFailed
	})
	must(other.world, other.admin.Get(t.Context(), client.ObjectKeyFromObject(strange), strange))
	if len(strange.Data) != 1 || len(other.users) != 1 {
		t.Errorf("the Secret holds %d keys, the BMC lets in %v", len(strange.Data), other.users)
	}
}

// trial answers for the login with an account to come.
func (p *plane) trial(name string) lifecycle.PowerReading {
	b, known := p.trials[name]
	switch {
	case !known:
		return lifecycle.PowerReading{Reason: reasons.BMCNotAsked}
	case p.world.users[b.Username] == b.Password.Reveal():
		return lifecycle.PowerReading{Reason: reasons.BMCAnswers}
	}
	return lifecycle.PowerReading{Reason: reasons.BMCUnauthorized, Message: "refused"}
}
