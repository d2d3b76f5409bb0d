// Package environment reconciles Environments: it says in their status how the files that they name fare in the caches of the pxe-servers, and pins
// what releases of Talos are made of.
//
// Layer 3. It reads no file and asks no source itself: the pxe-servers and resolve do, and tell. Invariants:
//   - What is pinned is written once by the leader (Pinner), fenced by the resourceVersion that it was decided on. Only another spec.talos, or a person's
//     annotation, replaces it.
//   - The rest (Reconciler) runs on every replica, since a pxe-server tells only the one it is connected to. A replica never takes back what a site told another.
//   - An Environment on which nothing changed costs no write; progress is shown in steps of five percent.
package environment

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bootfiles"
)

// lookAgain is when an Environment that is not ready is looked at without news: a site that fell silent is told by nothing.
const lookAgain = 5 * time.Minute

// Reconciler reconciles Environments. All fields are required.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	Files  *bootfiles.Store
	Events Events
	Now    func() time.Time
}

// Events records what happened to an Environment.
type Events interface {
	Event(env *metal.Environment, warning bool, reason, message string)
}

// Reconcile writes the status of one Environment.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var env metal.Environment
	if err := r.Client.Get(ctx, req.NamespacedName, &env); apierrors.IsNotFound(err) {
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading Environment %s: %w", req.Name, err)
	}
	ready, err := r.recordOutcome(ctx, &env)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if err != nil || ready {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: lookAgain}, nil
}

// recordOutcome patches status when it differs from what is known, and writes nothing otherwise.
func (r *Reconciler) recordOutcome(ctx context.Context, env *metal.Environment) (ready bool, err error) {
	before := env.DeepCopy()
	env.Status.Assets = r.assets(env)
	env.Status.ObservedGeneration = env.Generation
	c := judge(env)
	c.ObservedGeneration, c.LastTransitionTime = env.Generation, metav1.NewTime(r.Now())
	meta.SetStatusCondition(&env.Status.Conditions, c)
	ready = c.Status == metav1.ConditionTrue
	if equality.Semantic.DeepEqual(before.Status, env.Status) {
		return ready, nil
	}
	if err := r.Client.Status().Patch(ctx, env, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return ready, fmt.Errorf("recording the outcome for Environment %s: %w", env.Name, err)
	}
	if !changed(before) && changed(env) {
		r.Events.Event(env, true, c.Reason, c.Message)
	}
	return ready, nil
}

// assets are the files of the Environment with the worst of all sites.
func (r *Reconciler) assets(env *metal.Environment) []metal.AssetStatus {
	var out []metal.AssetStatus
	for _, f := range bootfiles.Of(env) {
		reports, known := r.Files.Of(f.SHA256)
		out = append(out, merge(f, shown(env, f), reports, known))
	}
	return out
}

// shown is what status says of a file; nil when it says nothing, or tells of other bytes.
func shown(env *metal.Environment, f bootfiles.File) *metal.AssetStatus {
	for i, a := range env.Status.Assets {
		if a.Name == f.Name && a.SHA256 == f.SHA256 {
			return &env.Status.Assets[i]
		}
	}
	return nil
}
