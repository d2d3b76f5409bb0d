package launcher

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// providerLabel is on everything that clusterctl installs.
const providerLabel = "cluster.x-k8s.io/provider"

// deployments says in each provider's Deployment what became of it.
type deployments struct {
	client   client.Client
	launcher *launcher
	events   events.EventRecorder
	now      func() time.Time
}

// uncached kinds are read rarely, and are many or hold what nobody has to keep in memory.
func uncached() []client.Object { return []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}} }

func inventory() *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("clusterctl.cluster.x-k8s.io/v1alpha3")
	o.SetKind("Provider")
	return o
}

func (r *deployments) add(m ctrl.Manager) error {
	wakes := make(chan event.GenericEvent)
	everything := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request { return r.all(ctx) })
	if err := ctrl.NewControllerManagedBy(m).Named("provider-deployments").
		For(&appsv1.Deployment{}, builder.WithPredicates(predicate.NewPredicateFuncs(isProvider))).
		Watches(inventory(), everything).
		WatchesRawSource(source.Channel(wakes, everything)).Complete(r); err != nil {
		return err
	}
	return m.Add(waker{r.launcher.changed, wakes})
}

func isProvider(o client.Object) bool { return o.GetLabels()[providerLabel] != "" }

// waker hands on that a program changed.
type waker struct {
	changed <-chan struct{}
	wakes   chan<- event.GenericEvent
}

// Start runs until ctx ends.
func (w waker) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
		}
		select {
		case <-ctx.Done():
			return nil
		case w.wakes <- event.GenericEvent{Object: &appsv1.Deployment{}}:
		}
	}
}

// all are the Deployments of providers, and those that programs wait for.
func (r *deployments) all(ctx context.Context) []reconcile.Request {
	var l appsv1.DeploymentList
	if err := r.client.List(ctx, &l, client.HasLabels{providerLabel}); err != nil {
		return nil // the cache ends
	}
	var out []reconcile.Request
	for i := range l.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&l.Items[i])})
	}
	return out
}

// Reconcile tells the launcher whether a Deployment wants its program, and writes what became of it.
func (r *deployments) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	program, provider := r.launcher.find(req.NamespacedName)
	d := &appsv1.Deployment{}
	if err := r.client.Get(ctx, req.NamespacedName, d); err != nil {
		if err = client.IgnoreNotFound(err); err == nil && program != nil {
			program.observe(provider.Deployment, false)
		}
		return ctrl.Result{}, err
	}
	release, err := r.release(ctx, d)
	if err != nil {
		return ctrl.Result{}, err
	}
	var s state
	if program != nil {
		s = program.now()
	}
	v := judge(d, provider, s, release)
	if program != nil {
		program.observe(provider.Deployment, v.wanted)
	}
	return ctrl.Result{}, r.write(ctx, d, v)
}

// release is what clusterctl's inventory says was installed there.
func (r *deployments) release(ctx context.Context, d *appsv1.Deployment) (string, error) {
	o := inventory()
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: d.Namespace, Name: d.Labels[providerLabel]}, o); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	v, _, _ := unstructured.NestedString(o.Object, "version")
	return v, nil
}

// write writes the status, and an event, when something changes.
func (r *deployments) write(ctx context.Context, d *appsv1.Deployment, v verdict) error {
	before := d.DeepCopy()
	d.Status = status(d, v, metav1.NewTime(r.now()))
	if equality.Semantic.DeepEqual(before.Status, d.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, d, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("writing what became of %s: %w", d.Name, err))
	}
	if told(before) != v.reason {
		kind := corev1.EventTypeNormal
		if !v.available && (v.reason == reasonUnknown || v.reason == reasonRelease || v.reason == string(failed) || v.reason == string(refused)) {
			kind = corev1.EventTypeWarning
		}
		r.events.Eventf(d, nil, kind, v.reason, "Launch", "%s", limit(v.message))
	}
	return nil
}

// told is the reason that a Deployment's condition gave.
func told(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == conditionType {
			return c.Reason
		}
	}
	return ""
}
