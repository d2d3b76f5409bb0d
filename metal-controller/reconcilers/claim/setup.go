package claim

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

const (
	// gathering is how long servers that become free are gathered before the claims that wait are woken, once for all of them.
	gathering = 500 * time.Millisecond
	workers   = 8
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// SetupWithManager registers the reconciler. Index was called for the manager's cache.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	freed := make(chan struct{}, 1)
	return ctrl.NewControllerManagedBy(m).
		Named("claim").
		For(&metal.ServerClaim{}).
		Watches(&metal.Server{}, handler.EnqueueRequestsFromMapFunc(concerned)).
		Watches(&metal.Server{}, watchFree(freed)).
		Watches(&metal.ServerClass{}, handler.EnqueueRequestsFromMapFunc(r.ofClass), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&metal.Environment{}, handler.EnqueueRequestsFromMapFunc(r.ofAny), builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, resolvedChanged()))).
		WatchesRawSource(r.freedSource(freed)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, SkipNameValidation: &skip}).
		Complete(r)
}

// resolvedChanged lets Environments through whose files were found, or are missing for another reason than before.
func resolvedChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*metal.Environment)
		after, ok2 := e.ObjectNew.(*metal.Environment)
		return ok && ok2 && (!equality.Semantic.DeepEqual(before.Boots(), after.Boots()) || resolved(before) != resolved(after))
	}}
}

func resolved(e *metal.Environment) string {
	if c := meta.FindStatusCondition(e.Status.Conditions, reasons.Resolved); c != nil {
		return c.Reason
	}
	return ""
}

// concerned are the claims that a Server's record or lock names, before a change and after it.
func concerned(_ context.Context, o client.Object) []reconcile.Request {
	names := map[string]struct{}{}
	for _, k := range slices.Concat(sideKeys(o), lockKeys(o)) {
		names[k] = struct{}{}
	}
	var out []reconcile.Request
	for k := range maps.Keys(names) {
		namespace, name, _ := strings.Cut(k, "/")
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
	}
	return out
}

// watchFree tells of Servers that claims might have now and could not have before. Others change all the time, and no claim waits for that.
func watchFree(freed chan<- struct{}) handler.EventHandler {
	tell := func(o client.Object) {
		if s, ok := o.(*metal.Server); ok && (len(allocate.Unavailable(s)) == 0 || allocate.Kept(s)) {
			select {
			case freed <- struct{}{}:
			default: // told already
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, _ queue) { tell(e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ queue) {
			old, ok := e.ObjectOld.(*metal.Server)
			same := ok && old.Generation == e.ObjectNew.GetGeneration() && maps.Equal(old.Labels, e.ObjectNew.GetLabels())
			if !same || len(allocate.Unavailable(old)) > 0 {
				tell(e.ObjectNew)
			}
		},
	}
}

// freedSource wakes the claims that wait when servers became free, the oldest first.
func (r *Reconciler) freedSource(freed <-chan struct{}) source.Source {
	return source.Func(func(ctx context.Context, q queue) error {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-freed:
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(gathering):
				}
				for _, request := range r.waitingFor(ctx, everyClass) {
					q.Add(request)
				}
			}
		}()
		return nil
	})
}

func (r *Reconciler) ofClass(ctx context.Context, o client.Object) []reconcile.Request {
	return r.waitingFor(ctx, o.GetName())
}

func (r *Reconciler) ofAny(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.waitingFor(ctx, everyClass)
}

// waitingFor are the claims without a binding that name a class, the oldest first.
func (r *Reconciler) waitingFor(ctx context.Context, class string) []reconcile.Request {
	var list metal.ServerClaimList
	if err := r.Client.List(ctx, &list, client.MatchingFields{byWaiting: class}, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "Looking for ServerClaims that wait", "class", class) // they look again by themselves
		return nil
	}
	claims := slices.Clone(list.Items)
	slices.SortFunc(claims, func(a, b metal.ServerClaim) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	out := make([]reconcile.Request, len(claims))
	for i := range claims {
		out[i] = reconcile.Request{NamespacedName: key(&claims[i])}
	}
	return out
}
