package server

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// errStale says that the cache showed an older Server than there is.
var errStale = errors.New("the Server was read from a cache that is behind")

// intend records what the plan begins, and returns the plan that holds: a grant is decided again out of an uncached count, while all other workers
// that would grant wait.
func (r *Reconciler) intend(ctx context.Context, o lifecycle.Observation, plan lifecycle.Plan) (lifecycle.Plan, error) {
	if plan.Taken && r.Passports != nil { // the BMC is reached with what came along
		if err := r.Passports.Unpack(ctx, o.Server.Name); err != nil {
			return plan, err
		}
	}
	if !plan.Granted {
		return plan, r.recordIntent(ctx, o.Server, plan)
	}
	r.grants.deciding.Lock()
	defer r.grants.deciding.Unlock()
	var err error
	if o.Budget, err = r.recount(ctx); err != nil {
		return plan, err
	}
	plan = lifecycle.Decide(o)
	err = r.recordIntent(ctx, o.Server, plan)
	if plan.Granted && !refused(err) {
		r.grants.remember(plan.Record.Wipe)
	}
	return plan, err
}

// refused says that a write certainly did not happen. After any other error, such as a timeout, it may have: a grant then counts.
func refused(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err)
}

// recordIntent writes the record, fenced by the resourceVersion that was read: whoever read an older Server does not get to act.
func (r *Reconciler) recordIntent(ctx context.Context, server *metal.Server, plan lifecycle.Plan) error {
	if plan.Record == nil || equality.Semantic.DeepEqual(plan.Record, server.Spec.Record) {
		return r.confirm(ctx, server, plan.Action)
	}
	before := server.DeepCopy()
	server.Spec.Record = plan.Record
	if plan.BMC != nil {
		server.Spec.BMC = plan.BMC
	}
	server.Spec.Accepted = server.Spec.Accepted || plan.Accepted
	if err := r.Client.Patch(ctx, server, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("recording the intent of Server %s: %w", server.Name, err)
	}
	r.mark(server.Name, before.Spec.Record, plan.Record)
	return nil
}

// confirm is the fence of an action that needs nothing written, such as the next try of a step: it goes out only if the Server is still the one that
// was decided about. Otherwise a leader that lost its lease, or a cache that is behind, would order what was wanted a moment ago.
func (r *Reconciler) confirm(ctx context.Context, server *metal.Server, action lifecycle.Action) error {
	if action.Kind == lifecycle.NoAction {
		return nil
	}
	var live metal.Server
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(server), &live); err != nil {
		return fmt.Errorf("reading Server %s before an action: %w", server.Name, err)
	}
	same := live.UID == server.UID && live.DeletionTimestamp.Equal(server.DeletionTimestamp) &&
		equality.Semantic.DeepEqual(live.Spec, server.Spec) && equality.Semantic.DeepEqual(live.Annotations, server.Annotations)
	if !same {
		return fmt.Errorf("holding Server %s against the API server: %w", server.Name, errStale)
	}
	return nil
}
