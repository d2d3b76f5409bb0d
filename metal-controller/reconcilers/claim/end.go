package claim

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// end lets a claim that is being deleted go once no server holds its binding. Whether it is released, and when its machine is proven off, is for the
// server reconciler to say: it ends the record's side. A claim that clusterctl moves away leaves everything as it is.
func (r *Reconciler) end(ctx context.Context, claim *metal.ServerClaim) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(claim, Finalizer) {
		return ctrl.Result{}, nil
	}
	if err := r.Live.Get(ctx, key(claim), claim); err != nil { // what is bound since the cache was filled must not be let go
		return ctrl.Result{}, fmt.Errorf("reading ServerClaim %s: %w", key(claim), err)
	}
	if _, moving := claim.Annotations[metal.MoveAnnotation]; moving {
		return ctrl.Result{}, r.letGo(ctx, claim)
	}
	server, err := r.holder(ctx, claim)
	if err != nil {
		return ctrl.Result{}, err
	}
	if server == nil {
		return ctrl.Result{}, r.finish(ctx, claim)
	}
	if claim.Spec.Binding == nil && sideOf(server).BoundAt == nil { // it was never used: nothing was begun on the machine
		return ctrl.Result{RequeueAfter: soon}, r.untake(ctx, server) // there may be another
	}
	return ctrl.Result{RequeueAfter: refresh}, r.releasing(ctx, claim, server)
}

// holder is the Server, read uncached, that holds the claim's binding, nil when none does.
func (r *Reconciler) holder(ctx context.Context, claim *metal.ServerClaim) (*metal.Server, error) {
	if claim.Spec.Binding == nil {
		return r.anywhere(ctx, claim)
	}
	server, err := r.server(ctx, claim.Spec.Binding.Server)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil || !holds(server, claim.Spec.Binding) || adopted(server, r.Installation) {
		return nil, err
	}
	return server, nil
}

// adopted says that a person gave the server to another installation, with its binding: the claim here means nothing any more.
func adopted(server *metal.Server, installation string) bool {
	m := server.Spec.Record.ManagedBy
	return m != nil && m.Installation == installation && m.LetGo != nil && m.LetGo.ClaimUID == ""
}

// holds says that the Server's record has the other side of the binding.
func holds(server *metal.Server, binding *metal.Binding) bool {
	side := sideOf(server)
	return side != nil && side.BindingID == binding.BindingID
}

// finish unlocks what the claim locked, and lets the claim go.
func (r *Reconciler) finish(ctx context.Context, claim *metal.ServerClaim) error {
	if err := r.unlockAll(ctx, key(claim)); err != nil {
		return err
	}
	if b := claim.Spec.Binding; b != nil { // the index may not show it yet
		if err := r.open(ctx, b.Server, key(claim)); err != nil {
			return err
		}
	}
	return r.letGo(ctx, claim)
}

// letGo takes the finalizer off.
func (r *Reconciler) letGo(ctx context.Context, claim *metal.ServerClaim) error {
	before := claim.DeepCopy()
	controllerutil.RemoveFinalizer(claim, Finalizer)
	if err := r.Client.Patch(ctx, claim, locked(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer of ServerClaim %s: %w", key(claim), err)
	}
	r.taken.forget(key(claim))
	return nil
}

// releasing says how the release of the claim's server fares.
func (r *Reconciler) releasing(ctx context.Context, claim *metal.ServerClaim, server *metal.Server) error {
	if claim.Spec.Binding == nil {
		what := no(reasons.BindingIncomplete, fmt.Sprintf(
			"The server %s still runs for an earlier claim of this name, which was never released. Waiting for a person: `ingot release --server %s` ends that.", server.Name, server.Name))
		return r.say(ctx, claim, outcome{bound: what, ready: what})
	}
	return r.say(ctx, claim, outcome{bound: yes(reasons.BindingSeen, boundTo(server)), ready: releaseOf(server), addresses: server.Status.Addresses})
}
