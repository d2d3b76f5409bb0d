// Package ingotcluster reconciles IngotClusters: it tells Cluster API that the infrastructure of a cluster is there once it is known where its API is to be
// reached. It makes nothing, so there is nothing to take down, and no finalizer.
//
// Layer 3; what is said is decided by Decide, which is pure. What is managed from outside, or paused, is left as it is.
package ingotcluster

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/clusterapi"
)

// kind is the kind that is reconciled here.
const kind = "IngotCluster"

// soon is when to try again after a race was lost.
const soon = time.Second

// Reconciler reconciles IngotClusters. All fields are required.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	Now    func() time.Time
}

// Decide says how the infrastructure of a cluster fares; owner is nil when no Cluster owns it, or that one is gone.
func Decide(c *infra.IngotCluster, owner *clusterv1.Cluster) clusterapi.Condition {
	switch {
	case owner == nil:
		return clusterapi.No(reasons.ClusterMissing, "Waiting for a Cluster that owns it: one whose infrastructureRef names "+c.Name+".")
	case c.Spec.ControlPlaneEndpoint.Host != "" && c.Spec.ControlPlaneEndpoint.Port != 0:
		return clusterapi.Yes(reasons.EndpointKnown, "The API of the cluster is to be reached at "+c.Spec.ControlPlaneEndpoint.Host+".")
	case owner.Spec.ControlPlaneEndpoint.Host != "" && owner.Spec.ControlPlaneEndpoint.Port != 0:
		return clusterapi.Yes(reasons.EndpointKnown, "The Cluster says where its API is to be reached: "+owner.Spec.ControlPlaneEndpoint.Host+".")
	}
	return clusterapi.No(reasons.EndpointMissing, "Waiting for an endpoint: host and port in spec.controlPlaneEndpoint of this IngotCluster or of the Cluster "+owner.Name+".")
}

// Reconcile says how one cluster fares.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var c infra.IngotCluster
	if err := r.Client.Get(ctx, req.NamespacedName, &c); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if _, external := c.Labels[clusterv1.ManagedByAnnotation]; external || annotated(&c) {
		return ctrl.Result{}, nil
	}
	var cluster clusterv1.Cluster
	found, err := clusterapi.Find(ctx, r.Client, c.Namespace, clusterapi.OwnerNamed(&c, "Cluster"), &cluster)
	if err != nil {
		return ctrl.Result{}, err
	}
	var owner *clusterv1.Cluster
	if found {
		owner = &cluster
	}
	if err := r.say(ctx, &c, owner); apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: soon}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, nil
}

// annotated says that another system manages the infrastructure: the contract's pages name a label, Cluster API's own code an annotation.
func annotated(c *infra.IngotCluster) bool {
	_, ok := c.Annotations[clusterv1.ManagedByAnnotation]
	return ok
}

// say writes the status when it differs, and nothing otherwise.
func (r *Reconciler) say(ctx context.Context, c *infra.IngotCluster, owner *clusterv1.Cluster) error {
	before, held := c.DeepCopy(), clusterapi.Held(owner, c)
	if held == "" {
		ready := Decide(c, owner)
		if c.Status.ObservedGeneration = c.Generation; ready.Reason == reasons.EndpointKnown {
			yes := true
			c.Status.Initialization.Provisioned = &yes
		}
		clusterapi.Set(&c.Status.Conditions, clusterv1.ReadyCondition, ready, c.Generation, r.Now())
	}
	clusterapi.Set(&c.Status.Conditions, clusterv1.PausedCondition, clusterapi.PausedCondition(held), c.Generation, r.Now())
	if equality.Semantic.DeepEqual(before.Status, c.Status) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, c, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("recording the status of IngotCluster %s: %w", client.ObjectKeyFromObject(c), err)
	}
	return nil
}

// SetupWithManager registers the reconciler. The API server serves Cluster API's kinds already.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	return ctrl.NewControllerManagedBy(m).
		Named("ingotcluster").
		For(&infra.IngotCluster{}).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(ofCluster)).
		WithOptions(controller.Options{SkipNameValidation: &skip}).
		Complete(r)
}

// ofCluster is the IngotCluster that a Cluster refers to.
func ofCluster(_ context.Context, o client.Object) []reconcile.Request {
	cluster, ok := o.(*clusterv1.Cluster)
	if !ok || cluster.Spec.InfrastructureRef.APIGroup != infra.GroupVersion.Group || cluster.Spec.InfrastructureRef.Kind != kind {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Spec.InfrastructureRef.Name}}}
}
