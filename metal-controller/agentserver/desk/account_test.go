package desk_test

import (
	"context"
	"errors"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// held is what a Secret holds.
type held accounts.Held

func (h held) Read(context.Context, string) (accounts.Held, error) { return accounts.Held(h), nil }

// setting is the record of a Server whose account x waits for the claimant of b1.
func setting() *metal.ServerRecord {
	r := expecting(metal.BootClaimed)
	r.BMCAccount = &metal.BMCAccountRecord{ID: "x", Generation: 2, Step: metal.BMCAccountSetting, At: *r.Boot.ClaimedAt, Username: "ingot-x", Requested: true}
	return r
}

// TestPassword: the claimant gets the task, and the password of the very account that it names; no other, and nobody else.
func TestPassword(t *testing.T) {
	w := newWorld(t, setting())
	task, err := w.Task(t.Context(), owner, w.name)
	if err != nil || task.Kind != lifecycle.TaskAccount || task.Account.ID() != "x" || task.Account.Generation() != 2 {
		t.Fatalf("control: %+v, %v", task, err)
	}
	if task, err := w.Task(t.Context(), thief, w.name); err != nil || task.Kind != lifecycle.TaskDenied {
		t.Errorf("a thief gets %+v, %v", task, err)
	}
	kept := accounts.Account{ID: "x", Username: "ingot-x", Password: bmc.NewSecret("secret")}
	for name, c := range map[string]struct {
		held accounts.Held
		want string
	}{
		"control":         {accounts.Held{Next: kept}, "secret"},
		"another id":      {accounts.Held{Next: accounts.Account{ID: "y", Username: "ingot-x", Password: kept.Password}}, ""},
		"another name":    {accounts.Held{Next: accounts.Account{ID: "x", Username: "ingot-y", Password: kept.Password}}, ""},
		"no password":     {accounts.Held{Next: accounts.Account{ID: "x", Username: "ingot-x"}}, ""},
		"in use already":  {accounts.Held{Current: kept}, ""},
		"a stranger's":    {accounts.Held{Strange: true}, ""},
		"nothing is kept": {accounts.Held{}, ""},
	} {
		w.Accounts = held(c.held)
		got, err := w.Password(t.Context(), w.name, task.Account)
		if got.Reveal() != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Accounts = nil
	if _, err := w.Password(t.Context(), w.name, task.Account); err == nil {
		t.Error("without Secrets there is a password")
	}
}

// TestReportAccount: the claimant's answer is recorded once; anybody else's, and one about something else, changes nothing.
func TestReportAccount(t *testing.T) {
	w := newWorld(t, setting())
	good := lifecycle.AccountReport{ID: "x", Generation: 2, Slot: 3, Channel: 1, Address: "192.0.2.7"}
	other := good
	other.Generation = 1
	w.unchanged("refusals", func() {
		if err := w.ReportAccount(t.Context(), thief, w.name, good); !errors.Is(err, desk.ErrNotBelieved) {
			t.Errorf("a thief: %v", err)
		}
		if err := w.ReportAccount(t.Context(), owner, w.name, other); !errors.Is(err, desk.ErrUnknownTask) {
			t.Errorf("another generation: %v", err)
		}
		if err := w.ReportAccount(t.Context(), owner, "nobody", good); !errors.Is(err, desk.ErrGone) {
			t.Errorf("another Server: %v", err)
		}
	})
	if err := w.ReportAccount(t.Context(), owner, w.name, good); err != nil {
		t.Fatal(err)
	}
	if a := w.server().Spec.Record.BMCAccount; a.Step != metal.BMCAccountChecking || a.Slot != 3 || a.BootID != "b1" || a.Endpoint != "192.0.2.7" {
		t.Errorf("recorded is %+v", a)
	}
	w.unchanged("the same again", func() {
		if err := w.ReportAccount(t.Context(), owner, w.name, good); err != nil {
			t.Error(err)
		}
	})
}
