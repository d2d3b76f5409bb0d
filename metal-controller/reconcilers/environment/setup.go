package environment

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// newsDelay gathers what sites tell into few status writes.
const newsDelay = 500 * time.Millisecond

// SetupWithManager registers the reconciler, on every replica.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip, onlyLeader := true, false // several managers may run in one process
	return ctrl.NewControllerManagedBy(m).
		Named("environment").
		For(&metal.Environment{}).
		WatchesRawSource(r.news()).
		WithOptions(controller.Options{SkipNameValidation: &skip, NeedLeaderElection: &onlyLeader}).
		Complete(r)
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// news wakes the reconciler for all Environments when a site told something new: they are few, and those that it does not concern cost no write.
func (r *Reconciler) news() source.Source {
	return source.Func(func(ctx context.Context, q queue) error {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-r.Files.Signal():
					r.wakeAll(ctx, q)
				}
			}
		}()
		return nil
	})
}

func (r *Reconciler) wakeAll(ctx context.Context, q queue) {
	var list metal.EnvironmentList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil { // the next news, or lookAgain, comes back to it
		log.FromContext(ctx).Error(err, "Listing Environments")
		return
	}
	for i := range list.Items {
		q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}, newsDelay)
	}
}
