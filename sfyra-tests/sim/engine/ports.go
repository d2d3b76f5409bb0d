package engine

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// workloads says whether there is a machine config, as the real port does.
type workloads struct{ w *World }

// Ready is empty when there is one.
func (x workloads) Ready(_ context.Context, s *metal.Server) (reason, message string, err error) {
	if x.w.configOf(s) == "" {
		return reasons.ConfigMissing, "There is no machine config.", nil
	}
	return "", "", nil
}

// idle keeps idle servers warm in some seeds.
type idle struct{ w *World }

// Warm says so.
func (x idle) Warm(_ context.Context, _ *metal.Server, inventory *metal.ServerInventorySpec) (bool, error) {
	return inventory != nil && x.w.kinds.Has(WarmServers), nil
}

// noCEL is for classes without expressions.
type noCEL struct{}

var errNoCEL = errors.New("the simulator has no expressions")

// Check refuses.
func (noCEL) Check(string) error { return errNoCEL }

// Eval refuses.
func (noCEL) Eval(string, *metal.ServerInventorySpec, map[string]string) (bool, error) {
	return false, errNoCEL
}

// claimEvents takes events of claims.
type claimEvents struct{ p *process }

// Event takes one; no rule rests on it.
func (e claimEvents) Event(c types.NamespacedName, _ bool, reason, message string) {
	e.p.w.log(c.Name, "event %s: %s", reason, message)
}

// clusterState is what is known of a Cluster of Cluster API, which the store does not have.
type clusterState struct{ paused, missing bool }

// clusterReader answers for Clusters.
type clusterReader struct {
	client.Reader
	w *World
}

// Get reads a Cluster out of the models, and everything else from the store.
func (r clusterReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return r.Reader.Get(ctx, key, o, opts...)
	}
	state, ok := r.w.operator.clusters[key.Name]
	if !ok || state.missing {
		return apierrors.NewNotFound(schema.GroupResource{Group: "cluster.x-k8s.io", Resource: "clusters"}, key.Name)
	}
	return unstructured.SetNestedField(u.Object, state.paused, "spec", "paused")
}

// claimsOf wakes the claims that a changed Server concerns: those that it names, and those that wait when it became free.
func (p *process) claimsOf(c store.Change) {
	if !p.leads {
		return
	}
	before, _ := c.Before.(*metal.Server)
	after, _ := c.After.(*metal.Server)
	for _, s := range []*metal.Server{before, after} {
		if s == nil {
			continue
		}
		if r := recordOf(s).Claim; r != nil {
			p.wake(r.Namespace+"/"+r.Name, 15*time.Millisecond)
		}
		if of, ok := strings.CutPrefix(s.Annotations[claim.LockAnnotation], "claimed by "); ok {
			p.wake(of, 15*time.Millisecond)
		}
	}
	if !p.w.kinds.Has(Claims) || after == nil || len(allocate.Unavailable(after)) > 0 {
		return
	}
	if before == nil || before.Generation != after.Generation || !maps.Equal(before.Labels, after.Labels) || len(allocate.Unavailable(before)) > 0 {
		p.in(500*time.Millisecond, p.wakeWaiting)
	}
}

// wakeWaiting wakes the claims that have no server.
func (p *process) wakeWaiting() {
	for _, c := range store.All[metal.ServerClaim](p.w.store) {
		if c.Spec.Binding == nil && c.DeletionTimestamp == nil {
			p.wake(c.Namespace+"/"+c.Name, 10*time.Millisecond)
		}
	}
}

// claimChanged wakes the claim and its Server.
func (p *process) claimChanged(c store.Change) {
	soon := 10 * time.Millisecond
	if p.w.contended() {
		soon = 500 * time.Millisecond
	}
	p.wake(c.Key.Namespace+"/"+c.Key.Name, soon)
	for _, o := range []client.Object{c.Before, c.After} {
		if x, ok := o.(*metal.ServerClaim); ok && x != nil && x.Spec.Binding != nil {
			p.wake(x.Spec.Binding.Server, soon)
		}
	}
}

// wakeClaims looks at every claim.
func (p *process) wakeClaims() {
	for _, c := range store.All[metal.ServerClaim](p.w.store) {
		p.wake(c.Namespace+"/"+c.Name, p.w.hardware.between(100*time.Millisecond, time.Second))
	}
}
