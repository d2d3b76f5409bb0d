package server

import (
	"context"
	"errors"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// trial is the name under which the BMC plane logs in with the account that comes, beside the one in use. No Server has such a name.
func trial(server string) string { return server + "/next" }

// accountView is what the Secret holds and what a login found. Secrets are read only while an account is on its way.
func (r *Reconciler) accountView(ctx context.Context, server *metal.Server) (lifecycle.AccountView, error) {
	record := server.Spec.Record
	if record == nil || record.BMCAccount == nil || record.BMCAccount.Step == metal.BMCAccountDone {
		return lifecycle.AccountView{}, nil
	}
	held, err := r.Accounts.Read(ctx, server.Name)
	if err != nil {
		return lifecycle.AccountView{}, err
	}
	view := lifecycle.AccountView{Next: held.Next.ID, Current: held.Current.ID, Old: held.Old.ID != "", Strange: held.Strange}
	if record.BMCAccount.Step != metal.BMCAccountChecking {
		r.Plane.Forget(trial(server.Name))
		return view, nil
	}
	if reading := r.Plane.Latest(trial(server.Name)); reading.Reason != reasons.BMCNotAsked {
		view.Login, view.LoginMessage = reading.Reason, reading.Message
	}
	return view, nil
}

// account carries an action on an account out; false for any other.
func (r *Reconciler) account(ctx context.Context, o lifecycle.Observation, action lifecycle.Action) (bool, error) {
	name := o.Server.Name
	switch {
	case action.Kind == lifecycle.KeepAccount:
		err := r.Accounts.Keep(ctx, name, action.ID, o.Server.Spec.Record.BMCAccount.Username)
		if errors.Is(err, accounts.ErrStrange) { // an account that was begun just now was not looked for yet; the next look says so to people
			err = nil
		}
		return true, err
	case action.Kind == lifecycle.TakeAccount:
		return true, r.Accounts.Take(ctx, name, action.ID)
	case action.Kind == lifecycle.ForgetAccount:
		return true, r.Accounts.Forget(ctx, name, action.ID)
	case action.Kind == lifecycle.CheckAccount:
		return true, r.tryAccount(ctx, o, action.ID)
	}
	return false, nil
}

// tryAccount has the BMC plane log in with the next account, if it is this one.
func (r *Reconciler) tryAccount(ctx context.Context, o lifecycle.Observation, id string) error {
	at, known := lifecycle.AccountTarget(o.Server)
	held, err := r.Accounts.Read(ctx, o.Server.Name)
	if err != nil || !known || held.Next.ID != id {
		return err
	}
	target := BMC{BMC: at, Username: held.Next.Username, Password: held.Next.Password}
	if pin := o.Server.Spec.Record.BMCPin; pin != nil && target.TLSFingerprint == "" {
		target.TLSFingerprint = pin.SHA256
	}
	r.Plane.Ensure(trial(o.Server.Name), target)
	return nil
}
