// Package server reconciles Servers: gather what is known, let lifecycle decide, record the intent, act, record the outcome.
//
// Layer 3. It decides nothing itself and waits on no network but the API server's: the BMC plane takes orders and keeps readings, and wakes
// it when one changes. Invariants:
//   - The record is written, fenced by the resourceVersion of the read, before the action is begun. A stale reader therefore never acts.
//   - A crash between any two steps replays from the top; the only repeated effect is an idempotent *ensure* to a BMC.
//   - A server on which nothing changed costs no write.
package server

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/sightings"
)

// Plane is what the reconciler needs of the BMC plane. No call waits on a network.
type Plane interface {
	// Ensure starts or updates the worker of a server's BMC.
	Ensure(server string, target BMC)
	// Submit hands an action over. The latest one replaces any that was not begun.
	Submit(server string, action lifecycle.Action)
	// Latest is the last reading.
	Latest(server string) lifecycle.PowerReading
	// Forget ends the worker, if any.
	Forget(server string)
}

// BMC is where a BMC is and how to be let in.
type BMC struct {
	metal.BMC
	Username string
	Password bmc.Secret
}

// Events records an event about a Server.
type Events interface {
	Event(server string, warning bool, reason, message string)
}

// Reconciler reconciles Servers. All fields are required.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads Secrets from the API server itself: they are never cached.
	Live         client.Reader
	Plane        Plane
	Sightings    *sightings.Store
	Events       Events
	Installation string
	Now          func() time.Time
}

// Reconcile makes one step with one server.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var server metal.Server
	if err := r.Client.Get(ctx, req.NamespacedName, &server); apierrors.IsNotFound(err) {
		r.Plane.Forget(req.Name)
		r.Sightings.Forget(req.Name)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading Server %s: %w", req.Name, err)
	}
	observation, err := r.gather(ctx, &server)
	if err != nil {
		return ctrl.Result{}, err
	}
	plan := lifecycle.Decide(observation)
	if err := r.recordIntent(ctx, &server, plan.Record); err != nil {
		return requeueOnConflict(err)
	}
	r.act(ctx, server.Name, plan.Action)
	if err := r.recordOutcome(ctx, &server, plan); err != nil {
		return requeueOnConflict(err)
	}
	r.tell(server.Name, plan.Events)
	return ctrl.Result{RequeueAfter: plan.After}, nil
}

// recordIntent writes the record, fenced by the resourceVersion that was read: whoever read an older Server does not get to act.
func (r *Reconciler) recordIntent(ctx context.Context, server *metal.Server, record *metal.ServerRecord) error {
	if record == nil || equality.Semantic.DeepEqual(record, server.Spec.Record) {
		return nil
	}
	before := server.DeepCopy()
	server.Spec.Record = record
	if err := r.Client.Patch(ctx, server, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("recording the intent of Server %s: %w", server.Name, err)
	}
	return nil
}

// act begins the plan's action, if any.
func (r *Reconciler) act(ctx context.Context, server string, action lifecycle.Action) {
	if action.Kind == lifecycle.NoAction {
		return
	}
	log.FromContext(ctx).Info("Ordering power", "action", action.Kind, "actionID", action.ID)
	r.Plane.Submit(server, action)
}

// tell emits the plan's events, after what they tell of was written.
func (r *Reconciler) tell(server string, events []lifecycle.Event) {
	for _, e := range events {
		r.Events.Event(server, e.Warning, e.Reason, e.Message)
	}
}

// requeueOnConflict turns a lost race into another try without noise in the log: whoever won wakes us through the cache as well.
func requeueOnConflict(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	return ctrl.Result{}, err
}
