package class

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// gathering is how long changes of servers are gathered before the classes are counted anew, once for all of them.
const gathering = time.Second

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	return ctrl.NewControllerManagedBy(m).
		Named("class").
		For(&metal.ServerClass{}).
		Watches(&metal.Server{}, r.recount()).
		Watches(&metal.ServerInventory{}, r.recount()).
		WithOptions(controller.Options{SkipNameValidation: &skip}).
		Complete(r)
}

// recount looks at every class a moment after something changed; the queue holds each of them once.
func (r *Reconciler) recount() handler.EventHandler {
	later := func(ctx context.Context, q queue) {
		var list metal.ServerClassList
		if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "Looking for ServerClasses") // the next change looks again
			return
		}
		for i := range list.Items {
			q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}, gathering)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, _ event.CreateEvent, q queue) { later(ctx, q) },
		UpdateFunc: func(ctx context.Context, _ event.UpdateEvent, q queue) { later(ctx, q) },
		DeleteFunc: func(ctx context.Context, _ event.DeleteEvent, q queue) { later(ctx, q) },
	}
}
