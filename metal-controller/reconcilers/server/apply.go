package server

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/sightings"
)

// recordOutcome patches status when it differs from what the plan says, and writes nothing otherwise.
func (r *Reconciler) recordOutcome(ctx context.Context, server *metal.Server, plan lifecycle.Plan) error {
	if plan.Silent {
		return nil
	}
	was := server.Status.DeepCopy()
	r.status(server, plan)
	if equality.Semantic.DeepEqual(was, &server.Status) {
		return nil
	}
	before := server.DeepCopy()
	before.Status = *was
	if err := r.Client.Status().Patch(ctx, server, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("recording the outcome for Server %s: %w", server.Name, err)
	}
	return nil
}

// status turns the plan into the Server's status.
func (r *Reconciler) status(server *metal.Server, plan lifecycle.Plan) {
	s := &server.Status
	s.State = plan.State
	s.Power = plan.Power
	s.PendingAction = plan.Pending
	s.Inventory = plan.Summary
	boot := plan.Boot
	s.Boot = &boot
	s.Disks = plan.Disks
	s.Wipe = r.progress(server)
	s.ObservedGeneration = server.Generation
	s.Boots = sightings.Merge(s.Boots, r.Sightings.Boots(server.Name))
	if seen := r.Sightings.Addresses(server.Name); seen != nil {
		s.Addresses = seen
	}
	s.Conditions = slices.DeleteFunc(s.Conditions, func(old metav1.Condition) bool { // of a claim or a release that is over
		return !slices.ContainsFunc(plan.Conditions, func(c lifecycle.Condition) bool { return c.Type == old.Type })
	})
	for _, c := range plan.Conditions {
		r.condition(server, c)
	}
}

// progress is the newest that is known of the wipe that runs; nil when none does.
func (r *Reconciler) progress(server *metal.Server) *metal.WipeStatus {
	record := server.Spec.Record
	if record == nil || record.Wipe == nil || record.Wipe.VerifiedAt != nil {
		return nil
	}
	var newest *metal.WipeStatus
	for _, p := range []*metal.WipeStatus{server.Status.Wipe, r.Sightings.ProgressOf(server.Name)} {
		ours := p != nil && p.ID == record.Wipe.ID && p.Generation == record.Wipe.Generation
		if ours && (newest == nil || !p.UpdatedAt.Before(&newest.UpdatedAt)) {
			newest = p
		}
	}
	return newest
}

// condition sets one condition; its transition time changes only with its status.
func (r *Reconciler) condition(server *metal.Server, c lifecycle.Condition) {
	if old := meta.FindStatusCondition(server.Status.Conditions, c.Type); old != nil && old.Status == metav1.ConditionStatus(c.Status) &&
		old.Reason == c.Reason && old.Message == c.Message {
		old.ObservedGeneration = server.Generation
		return
	}
	meta.SetStatusCondition(&server.Status.Conditions, metav1.Condition{
		Type: c.Type, Status: metav1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message,
		ObservedGeneration: server.Generation, LastTransitionTime: metav1.NewTime(r.Now()),
	})
}
