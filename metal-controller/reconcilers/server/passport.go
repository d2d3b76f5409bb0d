package server

import (
	"context"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Passports keeps what goes with a server to another API server; see the package passports.
type Passports interface {
	Read(ctx context.Context, server string) (lifecycle.PassportView, error)
	Hold(ctx context.Context, server string) error
	Write(ctx context.Context, server *metal.Server, inventory *metal.ServerInventorySpec) error
	Empty(ctx context.Context, server string) error
	Unpack(ctx context.Context, server string) error
}

// passport reads the passport, and keeps an empty one ready for a claimed server: clusterctl takes along what is there when it begins. One of an earlier
// hand-over is emptied.
func (r *Reconciler) passport(ctx context.Context, server *metal.Server) (lifecycle.PassportView, error) {
	if r.Passports == nil {
		return lifecycle.PassportView{}, nil
	}
	view, err := r.Passports.Read(ctx, server.Name)
	if err != nil {
		return view, err
	}
	record := server.Spec.Record
	switch {
	case view.Content != nil && view.Content.Outdated(record, r.Installation):
		view.Content = nil
		return view, r.Passports.Empty(ctx, server.Name)
	case !view.Found && record != nil && record.Claim != nil && record.ManagedBy != nil && !record.Foreign(r.Installation):
		return view, r.Passports.Hold(ctx, server.Name)
	}
	return view, nil
}

// side is the server's side of the binding that matters: that of a passport that came here, before it is taken over.
func (r *Reconciler) side(o *lifecycle.Observation) *metal.ClaimRecord {
	if c := o.Passport.Content; c != nil && c.Record.ManagedBy.Installation != r.Installation {
		return c.Record.Claim
	}
	if record := o.Server.Spec.Record; record != nil {
		return record.Claim
	}
	return nil
}
