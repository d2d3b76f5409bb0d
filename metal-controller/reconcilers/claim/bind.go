package claim

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// bind looks for the Server that was taken for the claim before a crash; without one it chooses, takes the server's side and writes the claim's.
func (r *Reconciler) bind(ctx context.Context, claim *metal.ServerClaim) (ctrl.Result, error) {
	named, err := r.named(ctx, claim)
	if err != nil {
		return ctrl.Result{}, err
	}
	if named != nil {
		return r.resume(ctx, claim, named)
	}
	t, refused, err := r.terms(ctx, claim)
	if err != nil {
		return ctrl.Result{}, err
	}
	if refused != nil {
		return ctrl.Result{RequeueAfter: refresh}, r.waiting(ctx, claim, refused.Reason, refused.Message, nil)
	}
	return r.compete(ctx, t)
}

// compete takes servers for the claim until it has one, or none is left, or it lost too often.
func (r *Reconciler) compete(ctx context.Context, t *terms) (ctrl.Result, error) {
	for range tries {
		choice, unfit, err := r.choose(ctx, t)
		if err != nil {
			return ctrl.Result{}, err
		}
		if choice == nil {
			return ctrl.Result{RequeueAfter: t.patience}, r.waiting(ctx, t.request.Claim, reasons.NoMatchingServer, noServer(unfit), unfit)
		}
		server, err := r.take(ctx, t, choice)
		if err != nil {
			return ctrl.Result{}, err
		}
		if server != nil {
			return ctrl.Result{}, r.complete(ctx, t.request.Claim, server)
		}
	}
	return ctrl.Result{RequeueAfter: soon}, nil
}

// take writes the server's side of the binding, as long as the Server can be had; nil when it cannot any more. The note that it is being taken stays
// when the write may have happened.
func (r *Reconciler) take(ctx context.Context, t *terms, choice *allocate.Choice) (*metal.Server, error) {
	claim := t.request.Claim
	server, err := r.offered(ctx, t, choice)
	if server == nil || err != nil {
		r.taken.drop(choice.Server, key(claim))
		return nil, err
	}
	err = r.Client.Patch(ctx, server, locked(t.seen[server.Name]))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		r.taken.drop(choice.Server, key(claim))
		return nil, nil // the next look at it shows what happened
	}
	if err != nil {
		return nil, fmt.Errorf("taking Server %s for ServerClaim %s: %w", server.Name, key(claim), err)
	}
	return server, nil
}

// offered is the Server, read uncached, with the server's side of the binding; nil when it cannot be had any more. The claim is read again too: a cache
// that is behind must not give it a second server.
func (r *Reconciler) offered(ctx context.Context, t *terms, choice *allocate.Choice) (*metal.Server, error) {
	claim := t.request.Claim
	if err := r.refreshed(ctx, claim); err != nil {
		return nil, err
	}
	server, err := r.server(ctx, choice.Server)
	if err != nil {
		return nil, err
	}
	still := t.still(server)
	if still == nil {
		return nil, nil
	}
	id, err := r.newID()
	if err != nil {
		return nil, err
	}
	server.Spec.Record.Occupy(r.side(t, still.Environment, id))
	lock(server, key(claim))
	return server, nil
}

// side is the server's side of the binding, with what the class says now: what is changed there later concerns later claims.
func (r *Reconciler) side(t *terms, environment, id string) *metal.ClaimRecord {
	claim, class := t.request.Claim, &t.request.Class.Spec
	return &metal.ClaimRecord{
		Namespace: claim.Namespace, Name: claim.Name, BindingID: id, Class: claim.Spec.ClassName, Environment: environment,
		Cluster: clusterOf(claim, t.request.Environments[environment]), WipeLevel: class.WipeLevel, PlainConfig: class.ConfigDelivery == metal.DeliverPlainHTTP, ReuseOwner: allocate.ReuseOwner(claim, t.request.Class), At: metav1.NewTime(r.Now().UTC()),
	}
}

// clusterOf is the cluster of Talos machines that a claim's labels name.
func clusterOf(claim *metal.ServerClaim, env *metal.Environment) string {
	if env == nil || !env.BootsTalos() {
		return ""
	}
	return claim.Cluster()
}

// refreshed brings the claim to what the API server has, and refuses one that became something else than a claim that wants a server like this one.
func (r *Reconciler) refreshed(ctx context.Context, claim *metal.ServerClaim) error {
	var live metal.ServerClaim
	if err := r.Live.Get(ctx, key(claim), &live); err != nil {
		return fmt.Errorf("reading ServerClaim %s: %w", key(claim), err)
	}
	if live.UID != claim.UID || live.Generation != claim.Generation || live.Spec.Binding != nil || live.DeletionTimestamp != nil {
		return fmt.Errorf("holding ServerClaim %s against the API server: %w", key(claim), errStale)
	}
	live.DeepCopyInto(claim)
	return nil
}

// resume goes on with a Server whose record names the claim.
func (r *Reconciler) resume(ctx context.Context, claim *metal.ServerClaim, server *metal.Server) (ctrl.Result, error) {
	side := server.Spec.Record.Claim
	if server.Spec.Record.Release != nil {
		return ctrl.Result{RequeueAfter: refresh}, r.waiting(ctx, claim, reasons.Releasing,
			"The server "+server.Name+", which an earlier claim of this name had, is being given back; this claim goes on by itself after that.", nil)
	}
	if asked(claim, server) {
		return ctrl.Result{}, r.complete(ctx, claim, server)
	}
	if side.BoundAt != nil {
		return ctrl.Result{RequeueAfter: refresh}, r.waiting(ctx, claim, reasons.BindingIncomplete, fmt.Sprintf(
			"The server %s still runs for an earlier claim of this name, with class %s and Environment %s. Waiting for a person: `ingot release --server %s` ends that.",
			server.Name, side.Class, side.Environment, server.Name), nil)
	}
	return ctrl.Result{RequeueAfter: soon}, r.untake(ctx, server) // the claim was edited after the server was taken
}

// asked says that the server is what the claim asks for.
func asked(claim *metal.ServerClaim, server *metal.Server) bool {
	side, want := server.Spec.Record.Claim, &claim.Spec
	return side.Class == want.ClassName && (want.ServerName == "" || want.ServerName == server.Name) &&
		(want.EnvironmentName == "" || want.EnvironmentName == side.Environment) && (side.Reused == nil || want.Reuse)
}

// complete writes the claim's side of the binding.
func (r *Reconciler) complete(ctx context.Context, claim *metal.ServerClaim, server *metal.Server) error {
	before := claim.DeepCopy()
	claim.Spec.Binding = &metal.Binding{Server: server.Name, BindingID: server.Spec.Record.Claim.BindingID}
	if err := r.Client.Patch(ctx, claim, locked(before)); err != nil {
		return fmt.Errorf("binding ServerClaim %s to Server %s: %w", key(claim), server.Name, err)
	}
	r.Events.Event(key(claim), false, reasons.BindingSeen, "Bound to the server "+server.Name+".")
	return r.mirror(ctx, claim, server)
}

// untake takes back the server's side of a binding that never became one.
func (r *Reconciler) untake(ctx context.Context, server *metal.Server) error {
	before := server.DeepCopy()
	side := server.Spec.Record.Claim
	server.Spec.Record.Vacate()
	unlock(server, side.Namespace, side.Name)
	if err := r.Client.Patch(ctx, server, locked(before)); err != nil {
		return fmt.Errorf("taking back Server %s: %w", server.Name, err)
	}
	r.taken.drop(server.Name, types.NamespacedName{Namespace: side.Namespace, Name: side.Name})
	return nil
}

// newID is 16 random bytes in hexadecimal.
func (r *Reconciler) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r.Random, b[:]); err != nil {
		return "", fmt.Errorf("drawing a binding id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// server reads a Server from the API server itself.
func (r *Reconciler) server(ctx context.Context, name string) (*metal.Server, error) {
	var s metal.Server
	if err := r.Live.Get(ctx, client.ObjectKey{Name: name}, &s); err != nil {
		return nil, fmt.Errorf("reading Server %s: %w", name, err)
	}
	return &s, nil
}
