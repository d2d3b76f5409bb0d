package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// What Cluster API writes on objects; see docs/claims.md.
const (
	pausedCluster  = "cluster.x-k8s.io/paused"
	clusterGroup   = "cluster.x-k8s.io"
	clusterKind    = "Cluster"
	clusterVersion = "v1beta2"
)

// What makes claims for Cluster API.
const (
	machineKind    = "IngotMachine"
	machineVersion = "infrastructure.cluster.x-k8s.io/v1alpha1"
)

// workload reads what the record's claim says, and what its workload told; for a server without a claim, whether it may wait in the agent.
func (r *Reconciler) workload(ctx context.Context, o *lifecycle.Observation) (err error) {
	record, side := o.Server.Spec.Record, r.side(o)
	if side == nil {
		if record != nil && record.Wipe != nil && record.Wipe.VerifiedAt != nil {
			o.Warm, err = r.Idle.Warm(ctx, o.Server, o.Inventory)
		}
		return err
	}
	if o.Claim, err = r.claim(ctx, o, side); err != nil || record == nil || record.Claim == nil {
		return err
	}
	r.heard(o)
	if o.Claim.Found && record.Release == nil && (record.Installed == nil || record.Installed.BindingID != record.Claim.BindingID) {
		o.Claim.NotReady, o.Claim.NotReadyMessage, err = r.Workloads.Ready(ctx, o.Server)
	}
	return err
}

// heard is what this replica and, by what they wrote down, others heard of the workload, and how often its machine asked for its boot since.
func (r *Reconciler) heard(o *lifecycle.Observation) {
	c, name, record := &o.Claim, o.Server.Name, o.Server.Spec.Record
	noticed := r.remembered(o, r.Sightings.Notice(name, lifecycle.Word(record)))
	c.Watched, c.Alive = r.remembered(o, r.Sightings.Watched()), latest(r.remembered(o, r.Sightings.Alive(name)), lifecycle.HeardUntil(record, noticed, o.Now))
	since := latest(c.Watched, c.Alive)
	c.LocalBoots = max(r.Sightings.LocalBoots(name, o.Now.Sub(since)), localBoots(o.Server.Status.Boots, since))
}

// remembered is a moment of the memory by the clock of now, which somebody may have set since.
func (r *Reconciler) remembered(o *lifecycle.Observation, at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return o.Now.Add(-r.Sightings.Since(at))
}

// localBoots counts the boots from the local disk that status shows since a moment: other replicas write there what their pxe-servers told.
func localBoots(boots []metal.BootTimeline, since time.Time) (n int) {
	for _, b := range boots {
		if last := len(b.Stages) - 1; b.Target == metal.BootTargetLocalDisk && last >= 0 && b.Stages[last].At.After(since) {
			n++
		}
	}
	return n
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// claim is the claim as the cache knows it while nothing follows from it. A claim that is gone, deleted or bound elsewhere ends something, so that is read
// from the API server itself.
func (r *Reconciler) claim(ctx context.Context, o *lifecycle.Observation, side *metal.ClaimRecord) (lifecycle.ClaimView, error) {
	server := o.Server.Name
	key := types.NamespacedName{Namespace: side.Namespace, Name: side.Name}
	var c metal.ServerClaim
	if err := r.Client.Get(ctx, key, &c); err == nil && c.DeletionTimestamp.IsZero() && binds(&c, server, side) && !r.moving(o, &c) {
		return lifecycle.ClaimView{Found: true, Bound: true}, nil
	}
	c = metal.ServerClaim{}
	err := r.Live.Get(ctx, key, &c)
	if apierrors.IsNotFound(err) {
		return lifecycle.ClaimView{}, nil
	}
	if err != nil {
		return lifecycle.ClaimView{}, fmt.Errorf("reading ServerClaim %s: %w", key, err)
	}
	view := lifecycle.ClaimView{Found: true, UID: string(c.UID), Bound: binds(&c, server, side), BoundElsewhere: c.Spec.Binding != nil && !binds(&c, server, side)}
	view.Deleting = !c.DeletionTimestamp.IsZero() && controllerutil.ContainsFinalizer(&c, metal.ReleaseFinalizer)
	_, marked := c.Annotations[metal.MoveAnnotation] // left by a clusterctl that died, and carried along, it means nothing
	view.Moving = marked && !c.DeletionTimestamp.IsZero()
	_, view.Blocks = c.Annotations[metal.BlockMoveAnnotation]
	view.LoseMember = c.Annotations[metal.LoseMemberAnnotation] == side.BindingID
	if r.moving(o, &c) {
		if err := r.hold(ctx, &c, &view); err != nil {
			return view, err
		}
	}
	if view.Deleting {
		view.ClusterHeld, err = r.clusterHeld(ctx, &c)
	}
	if view.Deleting && view.ClusterHeld == "" && err == nil {
		view.ClusterHeld, err = r.machineHeld(ctx, &c)
	}
	return view, err
}

// binds says that the claim's side names the server and the binding of its side.
func binds(c *metal.ServerClaim, server string, side *metal.ClaimRecord) bool {
	b := c.Spec.Binding
	return b != nil && b.Server == server && b.BindingID == side.BindingID
}

// moving says that the claim may be on its way from or to another API server, so that its Cluster is looked at.
func (r *Reconciler) moving(o *lifecycle.Observation, c *metal.ServerClaim) bool {
	_, paused := c.Annotations[metal.ClusterPausedAnnotation]
	return paused || o.Passport.Content != nil || o.Server.Spec.Record.Foreign(r.Installation)
}

// hold reads whether the claim's Cluster goes on here, and since when clusterctl holds it.
func (r *Reconciler) hold(ctx context.Context, c *metal.ServerClaim, view *lifecycle.ClaimView) error {
	cluster, err := r.cluster(ctx, c)
	if cluster == nil || err != nil {
		return err
	}
	held := paused(cluster)
	view.ClusterGoes = !held
	if held {
		view.PausedByMove = pausedByMove(cluster)
	}
	return nil
}

// mover is whom the API server noted for what clusterctl wrote: the beginning of its User-Agent.
const mover = "clusterctl"

// pausedByMove is when clusterctl set spec.paused; zero when it was not clusterctl.
func pausedByMove(cluster *unstructured.Unstructured) time.Time {
	for _, f := range cluster.GetManagedFields() {
		if f.Manager != mover || f.Time == nil || f.FieldsV1 == nil || f.Subresource != "" {
			continue
		}
		var fields map[string]map[string]any
		if json.Unmarshal(f.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, ok := fields["f:spec"]["f:paused"]; ok {
			return f.Time.Time
		}
	}
	return time.Time{}
}

// machineHeld says that the machine of Cluster API that made the claim still wants it; empty when it does not, or the claim has none. The garbage collector deletes
// claims whose owner has another UID than they say, as after a restore, and that is no wish of anybody.
func (r *Reconciler) machineHeld(ctx context.Context, c *metal.ServerClaim) (string, error) {
	owner := metav1.GetControllerOf(c)
	if owner == nil || owner.Kind != machineKind || owner.APIVersion != machineVersion {
		return "", nil
	}
	machine := &unstructured.Unstructured{}
	machine.SetAPIVersion(owner.APIVersion)
	machine.SetKind(owner.Kind)
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: owner.Name}, machine)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading IngotMachine %s/%s: %w", c.Namespace, owner.Name, err)
	case machine.GetDeletionTimestamp() == nil:
		return "The IngotMachine " + c.Namespace + "/" + owner.Name + " that made the claim is not being deleted, so nothing is released. Delete its Machine.", nil
	}
	return "", nil
}

// clusterHeld says why the claim's Cluster keeps it from being released; empty when nothing does, or it has none.
func (r *Reconciler) clusterHeld(ctx context.Context, c *metal.ServerClaim) (string, error) {
	name := c.Labels[metal.ClusterAPILabel]
	if name == "" {
		return "", nil
	}
	cluster, err := r.cluster(ctx, c)
	switch {
	case err != nil:
		return "", err
	case cluster == nil:
		return "The Cluster " + c.Namespace + "/" + name + " that the claim belongs to does not exist here, so nothing is released.", nil
	case paused(cluster):
		return "The Cluster " + c.Namespace + "/" + name + " is paused, so nothing is released.", nil
	}
	return "", nil
}

// cluster is the claim's Cluster as the API server has it; nil when it has none, or that is not there.
func (r *Reconciler) cluster(ctx context.Context, c *metal.ServerClaim) (*unstructured.Unstructured, error) {
	name := c.Labels[metal.ClusterAPILabel]
	if name == "" {
		return nil, nil
	}
	cluster := &unstructured.Unstructured{}
	cluster.SetAPIVersion(clusterGroup + "/" + clusterVersion)
	cluster.SetKind(clusterKind)
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, cluster)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading Cluster %s/%s: %w", c.Namespace, name, err)
	}
	return cluster, nil
}

// paused says that a Cluster is held. What cannot be read holds.
func paused(cluster *unstructured.Unstructured) bool {
	held, _, err := unstructured.NestedBool(cluster.Object, "spec", "paused")
	_, annotated := cluster.GetAnnotations()[pausedCluster]
	return held || annotated || err != nil
}
