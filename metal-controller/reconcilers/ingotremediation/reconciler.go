// Package ingotremediation reconciles IngotRemediations: the server of an unhealthy Machine is cycled, and when that does not help the Machine is left to its
// owner, which replaces it.
//
// Layer 3. What is done is decided by Decide, which is pure, and for the server by lifecycle, which reads the request again. Invariants:
//   - What is intended is in the status before it is asked for; a power request that was written keeps its id, so a crash between the two cycles nothing twice.
//   - Of the control planes of one cluster one at a time is remediated: one worker decides, over what the API server itself says of the others.
//   - The Machine is marked, never deleted: its owner knows what else hangs on it.
package ingotremediation

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/clusterapi"
)

// soon is when to try again after a race was lost.
const soon = time.Second

// Events records an event about an IngotRemediation.
type Events interface {
	Event(remediation types.NamespacedName, warning bool, reason, message string)
}

// Reconciler reconciles IngotRemediations. All fields are required.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself.
	Live         client.Reader
	Events       Events
	Installation string
	Now          func() time.Time
	Random       io.Reader
}

// Reconcile makes one step with one remediation.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var m infra.IngotRemediation
	if err := r.Client.Get(ctx, req.NamespacedName, &m); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !m.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	o, err := r.gather(ctx, &m)
	if err != nil {
		return ctrl.Result{}, err
	}
	p := Decide(o)
	if err = r.act(ctx, o, p); apierrors.IsConflict(err) || apierrors.IsNotFound(err) { // somebody was faster, and the cache will tell
		return ctrl.Result{RequeueAfter: soon}, nil
	}
	return ctrl.Result{RequeueAfter: p.After}, err
}

// gather reads what a decision rests on.
func (r *Reconciler) gather(ctx context.Context, m *infra.IngotRemediation) (*Observation, error) {
	o := &Observation{Now: r.Now(), Installation: r.Installation, Remediation: m}
	var err error
	if o.NewID, err = r.newID(); err != nil {
		return nil, err
	}
	var machine clusterv1.Machine
	found, err := clusterapi.Find(ctx, r.Client, m.Namespace, clusterapi.OwnerNamed(m, "Machine"), &machine)
	if err != nil || !found {
		return o, err
	}
	o.Machine = &machine
	var cluster clusterv1.Cluster
	if found, err = clusterapi.Find(ctx, r.Client, m.Namespace, machine.Spec.ClusterName, &cluster); err != nil {
		return nil, err
	}
	if found {
		o.Cluster = &cluster
	}
	if err := r.server(ctx, o); err != nil {
		return nil, err
	}
	o.Other, err = r.other(ctx, o)
	return o, err
}

// server reads the claim of the machine, which has the name of its IngotMachine, and the server that this is bound to.
func (r *Reconciler) server(ctx context.Context, o *Observation) error {
	ref := o.Machine.Spec.InfrastructureRef
	if ref.APIGroup != infra.GroupVersion.Group || ref.Kind != "IngotMachine" {
		return nil
	}
	var claim metal.ServerClaim
	found, err := clusterapi.Find(ctx, r.Client, o.Machine.Namespace, ref.Name, &claim)
	if err != nil || !found || claim.Spec.Binding == nil {
		return err
	}
	o.Binding = claim.Spec.Binding
	var server metal.Server
	if found, err = clusterapi.Find(ctx, r.Client, "", o.Binding.Server, &server); found {
		o.Server = &server
	}
	return err
}

// other is another control plane of the cluster that is being cycled, or may still be on its way up.
func (r *Reconciler) other(ctx context.Context, o *Observation) (string, error) {
	if _, ok := o.Machine.Labels[clusterv1.MachineControlPlaneLabel]; !ok {
		return "", nil
	}
	var list infra.IngotRemediationList
	if err := r.Live.List(ctx, &list, client.InNamespace(o.Machine.Namespace)); err != nil {
		return "", fmt.Errorf("reading the other remediations of the cluster %s: %w", o.Machine.Spec.ClusterName, err)
	}
	for i := range list.Items {
		m := &list.Items[i]
		if busy := m.Status.Phase == infra.RemediationCycling || m.Status.Phase == infra.RemediationWatching; !busy || m.Name == o.Remediation.Name {
			continue
		}
		var machine clusterv1.Machine
		found, err := clusterapi.Find(ctx, r.Client, m.Namespace, clusterapi.OwnerNamed(m, "Machine"), &machine)
		if err != nil {
			return "", err
		}
		if _, ok := machine.Labels[clusterv1.MachineControlPlaneLabel]; found && ok && machine.Spec.ClusterName == o.Machine.Spec.ClusterName {
			return machine.Name, nil
		}
	}
	return "", nil
}

func (r *Reconciler) newID() (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(r.Random, b[:]); err != nil {
		return "", fmt.Errorf("drawing an id: %w", err)
	}
	return "remedy-" + hex.EncodeToString(b[:]), nil
}

// act does what was decided, the record of an intent before the deed.
func (r *Reconciler) act(ctx context.Context, o *Observation, p Plan) error {
	if err := r.say(ctx, o, p); err != nil {
		return err
	}
	switch {
	case p.Request != nil:
		before := o.Server.DeepCopy()
		o.Server.Spec.PowerRequest = p.Request
		if err := r.Client.Patch(ctx, o.Server, locked(before)); err != nil {
			return fmt.Errorf("asking for a power cycle of Server %s: %w", o.Server.Name, err)
		}
	case p.Replace:
		before := o.Machine.DeepCopy()
		clusterapi.Set(&o.Machine.Status.Conditions, clusterv1.MachineOwnerRemediatedCondition,
			clusterapi.No(clusterv1.MachineOwnerRemediatedWaitingForRemediationReason, "IngotRemediation: "+p.Ready.Message), o.Machine.Generation, r.Now())
		if err := r.Client.Status().Patch(ctx, o.Machine, locked(before)); err != nil {
			return fmt.Errorf("leaving Machine %s to its owner: %w", client.ObjectKeyFromObject(o.Machine), err)
		}
	}
	return nil
}

// say writes the status when it differs, and nothing otherwise.
func (r *Reconciler) say(ctx context.Context, o *Observation, p Plan) error {
	m := o.Remediation
	before, changed := m.DeepCopy(), false
	conditions := m.Status.Conditions
	if p.Paused == "" {
		m.Status = p.Status
		m.Status.Conditions = conditions
		changed = clusterapi.Set(&m.Status.Conditions, clusterv1.ReadyCondition, p.Ready, m.Generation, r.Now())
	}
	clusterapi.Set(&m.Status.Conditions, clusterv1.PausedCondition, clusterapi.PausedCondition(p.Paused), m.Generation, r.Now())
	if equality.Semantic.DeepEqual(before.Status, m.Status) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, m, locked(before)); err != nil {
		return fmt.Errorf("recording the status of IngotRemediation %s: %w", client.ObjectKeyFromObject(m), err)
	}
	if changed {
		r.Events.Event(client.ObjectKeyFromObject(m), true, p.Ready.Reason, p.Ready.Message)
	}
	return nil
}

// locked is a patch from before that only the resourceVersion of before may take.
func locked(before client.Object) client.Patch {
	return client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
}
