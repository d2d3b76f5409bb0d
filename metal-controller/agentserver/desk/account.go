package desk

import (
	"context"
	"errors"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// errNotKept says that the Secret does not hold what was granted; the caller asks again.
var errNotKept = errors.New("the account of the grant is not kept yet, or not any more")

// Password is that of the account that a grant names; empty for one that only drops. It is read uncached, and is the grant's own or none.
func (d *Desk) Password(ctx context.Context, server string, g lifecycle.AccountGrant) (bmc.Secret, error) {
	if g.Username() == "" {
		return bmc.Secret{}, nil
	}
	if d.Accounts == nil {
		return bmc.Secret{}, errNotKept
	}
	held, err := d.Accounts.Read(ctx, server)
	if err != nil {
		return bmc.Secret{}, err
	}
	if held.Next.ID != g.ID() || held.Next.Username != g.Username() || held.Next.Password.Empty() {
		return bmc.Secret{}, errNotKept
	}
	return held.Next.Password, nil
}

// ReportAccount takes what became of an account, from the one boot that it was given to. The same report again changes nothing. Refusals: ErrGone, ErrForeign,
// ErrNotBelieved, ErrUnknownTask.
func (d *Desk) ReportAccount(ctx context.Context, c lifecycle.Caller, server string, report lifecycle.AccountReport) error {
	return d.records().Update(ctx, server, func(s *metal.Server) (*metal.ServerRecord, error) {
		record, verdict := lifecycle.ReportAccount(s, c, report, d.Now())
		switch {
		case verdict != lifecycle.VerdictRefused:
			return record, nil
		case !lifecycle.Believed(s, c):
			return nil, ErrNotBelieved
		}
		return nil, ErrUnknownTask
	})
}
