package claim

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// maxMessage of a condition, far below what the API takes.
const maxMessage = 1024

// outcome is what a claim's status shall say.
type outcome struct {
	bound, ready condition
	unfit        []metal.Unfit
	addresses    []string
	// event says that a change of the reason of bound is an event too.
	event bool
}

type condition struct {
	status          metav1.ConditionStatus
	reason, message string
}

func yes(reason, message string) condition { return condition{metav1.ConditionTrue, reason, message} }
func no(reason, message string) condition  { return condition{metav1.ConditionFalse, reason, message} }

// waiting says why the claim has no server.
func (r *Reconciler) waiting(ctx context.Context, claim *metal.ServerClaim, reason, message string, unfit []metal.Unfit) error {
	return r.say(ctx, claim, outcome{bound: no(reason, message), ready: no(reason, message), unfit: unfit, event: true})
}

// follow says how the server of a bound claim fares. A binding that the Server does not have is never made again by itself: the machine may run
// somebody else's workload by now.
func (r *Reconciler) follow(ctx context.Context, claim *metal.ServerClaim) error {
	b := claim.Spec.Binding
	server, err := r.partner(ctx, b)
	switch {
	case apierrors.IsNotFound(err):
		return r.lost(ctx, claim, "The Server "+b.Server+" does not exist here.")
	case err != nil:
		return err
	case !holds(server, b):
		if err := r.guard(ctx, claim, server); err != nil || arriving(claim, server) {
			return err
		}
		return r.lost(ctx, claim, "The Server "+b.Server+" does not hold this binding any more: a person released it, or its record comes from a backup.")
	}
	if err := r.guard(ctx, claim, server); err != nil {
		return err
	}
	return r.mirror(ctx, claim, server)
}

// partner is the Server that the binding names, from the cache if that shows both sides, else as it is now.
func (r *Reconciler) partner(ctx context.Context, b *metal.Binding) (*metal.Server, error) {
	var cached metal.Server
	err := r.Client.Get(ctx, client.ObjectKey{Name: b.Server}, &cached)
	if err == nil && holds(&cached, b) {
		return &cached, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Server %s: %w", b.Server, err)
	}
	return r.server(ctx, b.Server)
}

func (r *Reconciler) lost(ctx context.Context, claim *metal.ServerClaim, what string) error {
	what += " Waiting for a person: delete this claim and make a new one."
	return r.say(ctx, claim, outcome{bound: no(reasons.BindingIncomplete, what), ready: no(reasons.BindingIncomplete, what), event: true})
}

// mirror shows the server's condition Provisioned as the claim's Ready.
func (r *Reconciler) mirror(ctx context.Context, claim *metal.ServerClaim, server *metal.Server) error {
	r.taken.drop(server.Name, key(claim))
	return r.say(ctx, claim, outcome{bound: yes(reasons.BindingSeen, boundTo(server)), ready: provisionOf(server), addresses: server.Status.Addresses})
}

func boundTo(server *metal.Server) string { return "Bound to the server " + server.Name + "." }

// provisionOf is true only when the workload proved that it runs.
func provisionOf(server *metal.Server) condition {
	c := meta.FindStatusCondition(server.Status.Conditions, reasons.Provisioned)
	switch {
	case c == nil:
		return no(reasons.Provisioning, "The server "+server.Name+" is bound; nothing was begun on it yet.")
	case c.Status == metav1.ConditionTrue && c.Reason == reasons.Running:
		return yes(c.Reason, c.Message)
	}
	return no(c.Reason, c.Message)
}

// releaseOf is how far the server's release is.
func releaseOf(server *metal.Server) condition {
	if c := meta.FindStatusCondition(server.Status.Conditions, reasons.Released); c != nil {
		return no(c.Reason, c.Message)
	}
	return no(reasons.Releasing, "The claim is being deleted; the server "+server.Name+" is given back once its machine is proven off.")
}

// say writes the status when it differs, and nothing otherwise.
func (r *Reconciler) say(ctx context.Context, claim *metal.ServerClaim, o outcome) error {
	before := claim.DeepCopy()
	old := meta.FindStatusCondition(before.Status.Conditions, reasons.Bound)
	s := &claim.Status
	s.Unfit, s.Addresses, s.ObservedGeneration = o.unfit, o.addresses, claim.Generation
	r.set(claim, reasons.Bound, o.bound)
	r.set(claim, reasons.Ready, o.ready)
	if equality.Semantic.DeepEqual(before.Status, claim.Status) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, claim, locked(before)); err != nil {
		return fmt.Errorf("recording the status of ServerClaim %s: %w", key(claim), err)
	}
	if o.event && (old == nil || old.Reason != o.bound.reason) {
		r.Events.Event(key(claim), true, o.bound.reason, o.bound.message)
	}
	return nil
}

// set sets one condition; its transition time changes only with its status.
func (r *Reconciler) set(claim *metal.ServerClaim, typ string, c condition) {
	message := allocate.Clip(c.message, maxMessage)
	old := meta.FindStatusCondition(claim.Status.Conditions, typ)
	if old != nil && old.Status == c.status && old.Reason == c.reason && old.Message == message {
		old.ObservedGeneration = claim.Generation
		return
	}
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{
		Type: typ, Status: c.status, Reason: c.reason, Message: message,
		ObservedGeneration: claim.Generation, LastTransitionTime: metav1.NewTime(r.Now()),
	})
}
