package environment

import (
	"context"
	"fmt"
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
		WatchesRawSource(news(r.Client, r.Files.Signal())).
		WithOptions(controller.Options{SkipNameValidation: &skip, NeedLeaderElection: &onlyLeader}).
		Complete(r)
}

// SetupWithManager registers the pinner, on the leader, with the jobs that it asks.
func (p *Pinner) SetupWithManager(m ctrl.Manager) error {
	skip := true
	if err := m.Add(p.Jobs); err != nil {
		return fmt.Errorf("adding what asks Image Factories: %w", err)
	}
	return ctrl.NewControllerManagedBy(m).
		Named("environment-pin").
		For(&metal.Environment{}).
		WatchesRawSource(news(p.Client, p.Jobs.Changed())).
		WithOptions(controller.Options{SkipNameValidation: &skip}).
		Complete(p)
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// news wakes a reconciler for all Environments: they are few, and those that the news does not concern cost no write.
func news(c client.Client, signal <-chan struct{}) source.Source {
	return source.Func(func(ctx context.Context, q queue) error {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-signal:
					wakeAll(ctx, c, q)
				}
			}
		}()
		return nil
	})
}

func wakeAll(ctx context.Context, c client.Client, q queue) {
	var list metal.EnvironmentList
	if err := c.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil { // the next news, or lookAgain, comes back to it
		log.FromContext(ctx).Error(err, "Listing Environments")
		return
	}
	for i := range list.Items {
		q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}, newsDelay)
	}
}
