package ingotmachine

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const workers = 8

// SetupWithManager registers the reconciler. The API server serves Cluster API's kinds already.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	return ctrl.NewControllerManagedBy(m).
		Named("ingotmachine").
		For(&infra.IngotMachine{}).
		Watches(&metal.ServerClaim{}, handler.EnqueueRequestsFromMapFunc(sameName)).
		Watches(&metal.Server{}, handler.EnqueueRequestsFromMapFunc(ofServer)).
		Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(ofMachine)).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(r.ofCluster)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, SkipNameValidation: &skip}).
		Complete(r)
}

// sameName is the machine of a claim, if there is one.
func sameName(_ context.Context, o client.Object) []reconcile.Request {
	return one(o.GetNamespace(), o.GetName())
}

// ofServer is the machine of the claim that a Server's record names.
func ofServer(_ context.Context, o client.Object) []reconcile.Request {
	s, ok := o.(*metal.Server)
	if !ok || s.Spec.Record == nil || s.Spec.Record.Claim == nil {
		return nil
	}
	return one(s.Spec.Record.Claim.Namespace, s.Spec.Record.Claim.Name)
}

// ofMachine is the machine that a Machine refers to.
func ofMachine(_ context.Context, o client.Object) []reconcile.Request {
	machine, ok := o.(*clusterv1.Machine)
	if !ok || machine.Spec.InfrastructureRef.APIGroup != infra.GroupVersion.Group || machine.Spec.InfrastructureRef.Kind != Kind {
		return nil
	}
	return one(machine.Namespace, machine.Spec.InfrastructureRef.Name)
}

// ofCluster are all machines of a Cluster: it may be paused, or go on.
func (r *Reconciler) ofCluster(ctx context.Context, o client.Object) []reconcile.Request {
	var list infra.IngotMachineList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.MatchingLabels{clusterv1.ClusterNameLabel: o.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "Looking for IngotMachines of a Cluster", "cluster", o.GetName())
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, one(o.GetNamespace(), list.Items[i].Name)...)
	}
	return out
}

func one(namespace, name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}
