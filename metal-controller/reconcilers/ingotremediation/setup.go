package ingotremediation

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

// SetupWithManager registers the reconciler, with one worker. The API server serves Cluster API's kinds already.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	return ctrl.NewControllerManagedBy(m).
		Named("ingotremediation").
		For(&infra.IngotRemediation{}).
		Watches(&metal.Server{}, handler.EnqueueRequestsFromMapFunc(r.ofServer)).
		Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(ofMachine)).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(r.ofCluster)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, SkipNameValidation: &skip}).
		Complete(r)
}

// ofServer are the remediations that cycle a server.
func (r *Reconciler) ofServer(ctx context.Context, o client.Object) []reconcile.Request {
	s, ok := o.(*metal.Server)
	if !ok || s.Spec.Record == nil || s.Spec.Record.Claim == nil {
		return nil
	}
	return r.those(ctx, s.Spec.Record.Claim.Namespace, func(m *infra.IngotRemediation) bool { return m.Status.Server == s.Name || m.Status.Server == "" })
}

// ofMachine is the remediation of a Machine, which has its name.
func ofMachine(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}}}
}

// ofCluster are all remediations of a Cluster: it may be paused, or go on.
func (r *Reconciler) ofCluster(ctx context.Context, o client.Object) []reconcile.Request {
	return r.those(ctx, o.GetNamespace(), func(m *infra.IngotRemediation) bool { return m.Labels[clusterv1.ClusterNameLabel] == o.GetName() })
}

func (r *Reconciler) those(ctx context.Context, namespace string, fits func(*infra.IngotRemediation) bool) []reconcile.Request {
	var list infra.IngotRemediationList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "Looking for IngotRemediations", "namespace", namespace)
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if m := &list.Items[i]; fits(m) {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: m.Namespace, Name: m.Name}})
		}
	}
	return out
}
