// Package claim reconciles ServerClaims: it binds each to a server, in the steps of docs/claims.md, and says how that server fares.
//
// Layer 3. Which server is chosen is decided by the pure package allocate. Invariants:
//   - The Server's side is written first, fenced by the resourceVersion of an uncached read; then the claim's side, which never changes.
//   - Before a server is chosen, one whose record names the claim already is looked for, so a crash between any two writes is mended by the next run.
//   - A release is never recorded here. The finalizer only goes when no server holds the binding any more.
//   - A claim that waits costs at most one write for each change of what it is told.
package claim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const (
	// Finalizer keeps a claim until its server is proven not to run its workload any more.
	Finalizer = metal.ReleaseFinalizer
	// LockAnnotation keeps a Server from being deleted by accident; its value says who uses it.
	LockAnnotation = "metal.ingot.dev/lock"
)

const (
	// tries is how many servers a claim may lose to others in one run.
	tries = 5
	// soon is when to try again after a race was lost.
	soon = time.Second
	// refresh is how often a claim that waits is told anew why.
	refresh = 5 * time.Minute
)

// Events records an event about a ServerClaim.
type Events interface {
	Event(claim types.NamespacedName, warning bool, reason, message string)
}

// Evaluator evaluates the CEL expressions of classes; see the package allocate/expr.
type Evaluator interface {
	Check(expression string) error
	Eval(expression string, inventory *metal.ServerInventorySpec, labels map[string]string) (bool, error)
}

// Reconciler reconciles ServerClaims. All fields but Indexed are required. It is used by pointer, and safe for concurrent use; all that it keeps in
// memory may be lost at any moment.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself: what a stale cache must not decide.
	Live client.Reader
	// Indexed says that Client's cache has the indexes of Index. Without them questions cost a list of all Servers.
	Indexed      bool
	Events       Events
	CEL          Evaluator
	Installation string
	Now          func() time.Time
	// Random makes binding ids: 16 bytes for each server that is taken.
	Random io.Reader

	taken taken
	memo  memo
}

// errStale says that the cache showed an older claim than there is.
var errStale = errors.New("the ServerClaim was read from a cache that is behind")

// Reconcile makes one step with one claim.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var claim metal.ServerClaim
	if err := r.Client.Get(ctx, req.NamespacedName, &claim); apierrors.IsNotFound(err) {
		r.taken.forget(req.NamespacedName)
		return requeueOnConflict(ctrl.Result{}, r.unlockAll(ctx, req.NamespacedName))
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading ServerClaim %s: %w", req, err)
	}
	return requeueOnConflict(r.step(ctx, &claim))
}

func (r *Reconciler) step(ctx context.Context, claim *metal.ServerClaim) (ctrl.Result, error) {
	if !claim.DeletionTimestamp.IsZero() {
		return r.end(ctx, claim)
	}
	if err := r.hold(ctx, claim); err != nil {
		return ctrl.Result{}, err
	}
	if claim.Spec.Binding != nil {
		return ctrl.Result{}, r.follow(ctx, claim)
	}
	return r.bind(ctx, claim)
}

// hold adds the finalizer, before anything else is done for the claim, and lets clusterctl move it only when its server was let go.
func (r *Reconciler) hold(ctx context.Context, claim *metal.ServerClaim) error {
	before := claim.DeepCopy()
	if !controllerutil.AddFinalizer(claim, Finalizer) {
		return nil
	}
	block(claim, true)
	if err := r.Client.Patch(ctx, claim, locked(before)); err != nil {
		return fmt.Errorf("adding the finalizer to ServerClaim %s: %w", key(claim), err)
	}
	return nil
}

// locked is a patch from before that only the resourceVersion of before may take.
func locked(before client.Object) client.Patch {
	return client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
}

func key(claim *metal.ServerClaim) types.NamespacedName { return client.ObjectKeyFromObject(claim) }

// requeueOnConflict turns a lost race into another try without noise in the log: whoever won wakes us through the cache as well.
func requeueOnConflict(result ctrl.Result, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: soon}, nil
	}
	return result, err
}
