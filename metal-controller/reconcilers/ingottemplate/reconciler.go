// Package ingottemplate says in the status of IngotMachineTemplates what a machine made from them has at least, so that the cluster autoscaler can scale from
// zero. It goes by the status of the template's ServerClass.
//
// Layer 3; Decide is pure.
package ingottemplate

import (
	"context"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/clusterapi"
)

// linux is what Ingot's machines run.
const linux = "linux"

// soon is when to try again after a race was lost.
const soon = time.Second

// Reconciler reconciles IngotMachineTemplates. All fields are required.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	Now    func() time.Time
}

// Decide is what the status of a template says, without conditions, and how it fares; class is nil when it does not exist. A class without a server that fits
// has no capacity that anybody could know, so nothing is scaled up for it.
func Decide(t *infra.IngotMachineTemplate, class *metal.ServerClass) (infra.IngotMachineTemplateStatus, clusterapi.Condition) {
	s := infra.IngotMachineTemplateStatus{ObservedGeneration: t.Generation}
	switch {
	case class == nil:
		return s, clusterapi.No(reasons.ClassMissing, "The ServerClass "+t.Spec.Template.Spec.ClassName+" does not exist.")
	case len(class.Status.Capacity) == 0:
		return s, clusterapi.No(reasons.NoMatchingServer, "No server fits the ServerClass "+class.Name+".")
	}
	s.Capacity, s.NodeInfo.OperatingSystem = maps.Clone(class.Status.Capacity), linux
	if len(class.Status.Architectures) == 1 {
		s.NodeInfo.Architecture = class.Status.Architectures[0]
	}
	return s, clusterapi.Yes(reasons.ClassReady, "Every server of the ServerClass "+class.Name+" has at least this capacity.")
}

// Reconcile says what one template makes.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var t infra.IngotMachineTemplate
	if err := r.Client.Get(ctx, req.NamespacedName, &t); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !t.DeletionTimestamp.IsZero() || clusterapi.Held(nil, &t) != "" {
		return ctrl.Result{}, nil
	}
	var found metal.ServerClass
	class := &found
	ok, err := clusterapi.Find(ctx, r.Client, "", t.Spec.Template.Spec.ClassName, class)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !ok {
		class = nil
	}
	before := t.DeepCopy()
	status, ready := Decide(&t, class)
	status.Conditions = t.Status.Conditions
	t.Status = status
	clusterapi.Set(&t.Status.Conditions, clusterv1.ReadyCondition, ready, t.Generation, r.Now())
	if equality.Semantic.DeepEqual(before.Status, t.Status) {
		return ctrl.Result{}, nil
	}
	err = r.Client.Status().Patch(ctx, &t, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: soon}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("recording the status of IngotMachineTemplate %s: %w", req, err)
	}
	return ctrl.Result{}, nil
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	return ctrl.NewControllerManagedBy(m).
		Named("ingottemplate").
		For(&infra.IngotMachineTemplate{}).
		Watches(&metal.ServerClass{}, handler.EnqueueRequestsFromMapFunc(r.ofClass)).
		WithOptions(controller.Options{SkipNameValidation: &skip}).
		Complete(r)
}

// ofClass are the templates of a class.
func (r *Reconciler) ofClass(ctx context.Context, o client.Object) []reconcile.Request {
	var list infra.IngotMachineTemplateList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "Looking for IngotMachineTemplates of a class", "class", o.GetName())
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if t := &list.Items[i]; t.Spec.Template.Spec.ClassName == o.GetName() {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: t.Namespace, Name: t.Name}})
		}
	}
	return out
}
