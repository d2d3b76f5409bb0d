package server

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/identity"
)

// Coalescing and parallelism.
const (
	// sightingDelay gathers what is seen of one boot into few status writes.
	sightingDelay = 500 * time.Millisecond
	workers       = 8
)

// SetupWithManager registers the reconciler. Wakes gets the names of servers whose BMC said something new.
func (r *Reconciler) SetupWithManager(m ctrl.Manager, wakes <-chan string) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	return ctrl.NewControllerManagedBy(m).
		Named("server").
		For(&metal.Server{}).
		Watches(&metal.ServerInventory{}, handler.EnqueueRequestsFromMapFunc(r.concerned)).
		Watches(&metal.ServerClaim{}, handler.EnqueueRequestsFromMapFunc(claimed)).
		Watches(&infra.IngotMachine{}, handler.EnqueueRequestsFromMapFunc(provided)).
		WatchesRawSource(r.sightingSource()).
		WatchesRawSource(wakeSource(wakes)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, SkipNameValidation: &skip}).
		Complete(r)
}

// concerned are the Servers that a changed inventory tells something: its own, which has its name, and those that show one of its disks too.
func (r *Reconciler) concerned(ctx context.Context, o client.Object) []reconcile.Request {
	out := []reconcile.Request{request(o.GetName())}
	inventory, ok := o.(*metal.ServerInventory)
	if !ok {
		return out
	}
	others, err := r.Disks.Elsewhere(ctx, inventory.Name, identity.WWIDs(&inventory.Spec))
	if err != nil { // they learn it when they are looked at next, and each grant asks again anyway
		log.FromContext(ctx).Error(err, "Looking for Servers that share a disk", "server", inventory.Name)
	}
	for _, other := range others {
		out = append(out, request(other))
	}
	return out
}

// claimed is the Server that a claim is bound to. One whose server's side is written alone is looked at again by time.
func claimed(_ context.Context, o client.Object) []reconcile.Request {
	if c, ok := o.(*metal.ServerClaim); ok && c.Spec.Binding != nil {
		return []reconcile.Request{request(c.Spec.Binding.Server)}
	}
	return nil
}

// provided is the Server of a machine of Cluster API, which holds back a release until it is deleted itself, or not paused any more.
func provided(_ context.Context, o client.Object) []reconcile.Request {
	if m, ok := o.(*infra.IngotMachine); ok {
		if name, ok := strings.CutPrefix(m.Spec.ProviderID, infra.ProviderIDPrefix); ok {
			return []reconcile.Request{request(name)}
		}
	}
	return nil
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// sightingSource wakes the reconciler for servers of which something was seen, a moment later.
func (r *Reconciler) sightingSource() source.Source {
	return source.Func(func(ctx context.Context, q queue) error {
		r.Sightings.Watch() // from now on this replica leads
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-r.Sightings.Signal():
					for _, name := range r.Sightings.Drain() {
						q.AddAfter(request(name), sightingDelay)
					}
				}
			}
		}()
		return nil
	})
}

// wakeSource wakes the reconciler for servers whose BMC said something new.
func wakeSource(wakes <-chan string) source.Source {
	return source.Func(func(ctx context.Context, q queue) error {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case name := <-wakes:
					q.Add(request(name))
				}
			}
		}()
		return nil
	})
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}
