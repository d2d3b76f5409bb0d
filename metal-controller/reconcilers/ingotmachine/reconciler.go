// Package ingotmachine reconciles IngotMachines: each takes a server by a ServerClaim of its own name, and gives it back by deleting that.
//
// Layer 3. What is done is decided by Decide, which is pure. Invariants:
//   - Nothing is concluded from a claim that the cache does not show: the API server itself is asked.
//   - Deletion looks at the claim alone. It waits for nothing else, and says what it waits for.
//   - A machine that had a server never gets another one.
//   - What is paused, or moved away by clusterctl, is left as it is.
package ingotmachine

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/clusterapi"
)

// Kind is the kind that is reconciled here.
const Kind = "IngotMachine"

// soon is when to try again after a race was lost.
const soon = time.Second

// Events records an event about an IngotMachine.
type Events interface {
	Event(machine types.NamespacedName, warning bool, reason, message string)
}

// Reconciler reconciles IngotMachines. All fields are required.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself.
	Live   client.Reader
	Events Events
	Now    func() time.Time
}

// Reconcile makes one step with one machine.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var m infra.IngotMachine
	if err := r.Client.Get(ctx, req.NamespacedName, &m); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	o, err := r.gather(ctx, &m)
	if err == nil {
		err = r.act(ctx, o, Decide(o))
	}
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) { // somebody was faster, and the cache will tell
		return ctrl.Result{RequeueAfter: soon}, nil
	}
	return ctrl.Result{}, err
}

// gather reads what a decision rests on.
func (r *Reconciler) gather(ctx context.Context, m *infra.IngotMachine) (*Observation, error) {
	o := &Observation{Machine: m, ClusterName: m.Labels[clusterv1.ClusterNameLabel]}
	if err := r.cluster(ctx, o); err != nil {
		return nil, err
	}
	return o, r.claim(ctx, o)
}

// cluster reads what is of Cluster API, and our IngotCluster.
func (r *Reconciler) cluster(ctx context.Context, o *Observation) error {
	var (
		ns      = o.Machine.Namespace
		machine clusterv1.Machine
		cluster clusterv1.Cluster
		own     infra.IngotCluster
	)
	found, err := clusterapi.Find(ctx, r.Client, ns, clusterapi.OwnerNamed(o.Machine, "Machine"), &machine)
	if err != nil {
		return err
	}
	if found {
		o.Owner, o.ClusterName = &machine, machine.Spec.ClusterName
	}
	if found, err = clusterapi.Find(ctx, r.Client, ns, o.ClusterName, &cluster); err != nil || !found {
		return err
	}
	o.Cluster = &cluster
	if ref := cluster.Spec.InfrastructureRef; ref.APIGroup == infra.GroupVersion.Group && ref.Kind == "IngotCluster" {
		if found, err = clusterapi.Find(ctx, r.Client, ns, ref.Name, &own); found {
			o.Infra = &own
		}
	}
	return err
}

// claim reads the claim and its server. A claim that the cache does not show may be there all the same.
func (r *Reconciler) claim(ctx context.Context, o *Observation) error {
	var claim metal.ServerClaim
	found, err := clusterapi.Find(ctx, r.Client, o.Machine.Namespace, o.Machine.Name, &claim)
	if err == nil && !found {
		found, err = clusterapi.Find(ctx, r.Live, o.Machine.Namespace, o.Machine.Name, &claim)
	}
	if err != nil || !found {
		return err
	}
	o.Claim = &claim
	if claim.Spec.Binding == nil {
		return nil
	}
	var server metal.Server
	if found, err = clusterapi.Find(ctx, r.Client, "", claim.Spec.Binding.Server, &server); found {
		o.Server = &server
	}
	return err
}

// act does what was decided, the record of an intent before the deed.
func (r *Reconciler) act(ctx context.Context, o *Observation, p Plan) error {
	if err := r.mark(ctx, o.Machine, p); err != nil {
		return err
	}
	if err := r.tellClaim(ctx, o, p); err != nil {
		return err
	}
	deed := r.claims(ctx, o, &p)
	if p.LetGo {
		return deed
	}
	if err := r.say(ctx, o.Machine, p); err != nil {
		return err
	}
	return deed
}

// mark writes the finalizer and the providerID.
func (r *Reconciler) mark(ctx context.Context, m *infra.IngotMachine, p Plan) error {
	before := m.DeepCopy()
	switch {
	case p.Hold:
		controllerutil.AddFinalizer(m, infra.MachineFinalizer)
	case p.LetGo:
		controllerutil.RemoveFinalizer(m, infra.MachineFinalizer)
	}
	if p.ProviderID != "" && m.Spec.ProviderID == "" {
		m.Spec.ProviderID = p.ProviderID
	}
	if equality.Semantic.DeepEqual(before.Finalizers, m.Finalizers) && before.Spec.ProviderID == m.Spec.ProviderID {
		return nil
	}
	if err := r.Client.Patch(ctx, m, locked(before)); err != nil {
		return fmt.Errorf("writing finalizer and providerID of IngotMachine %s: %w", client.ObjectKeyFromObject(m), err)
	}
	return nil
}

// tellClaim wakes whoever lets the claim's server go, or takes it over.
func (r *Reconciler) tellClaim(ctx context.Context, o *Observation, p Plan) error {
	if !p.Mark {
		return nil
	}
	before := o.Claim.DeepCopy()
	if p.Pauses {
		metav1.SetMetaDataAnnotation(&o.Claim.ObjectMeta, metal.ClusterPausedAnnotation, "")
	} else {
		delete(o.Claim.Annotations, metal.ClusterPausedAnnotation)
		delete(o.Claim.Annotations, metal.MoveAnnotation)
	}
	if err := r.Client.Patch(ctx, o.Claim, locked(before)); err != nil {
		return fmt.Errorf("telling ServerClaim %s of its Cluster: %w", client.ObjectKeyFromObject(o.Claim), err)
	}
	return nil
}

// claims makes, adopts or deletes the claim. What keeps it from being deleted, its lock for instance, is what the machine waits for.
func (r *Reconciler) claims(ctx context.Context, o *Observation, p *Plan) error {
	switch {
	case p.Create != nil:
		if err := r.Client.Create(ctx, p.Create); err != nil {
			p.Ready.Message = "The ServerClaim " + p.Create.Name + " cannot be made: " + err.Error()
			return fmt.Errorf("making ServerClaim %s: %w", client.ObjectKeyFromObject(p.Create), err)
		}
	case p.Adopt:
		before := o.Claim.DeepCopy()
		for i := range o.Claim.OwnerReferences {
			if ref := &o.Claim.OwnerReferences[i]; ref.Controller != nil && *ref.Controller {
				*ref = owner(o.Machine)
			}
		}
		if err := r.Client.Patch(ctx, o.Claim, locked(before)); err != nil {
			return fmt.Errorf("becoming the owner of ServerClaim %s: %w", client.ObjectKeyFromObject(o.Claim), err)
		}
	case p.Delete:
		if err := r.Client.Delete(ctx, o.Claim, client.Preconditions{UID: &o.Claim.UID}); err != nil {
			p.Ready.Message = "The ServerClaim " + o.Claim.Name + " cannot be deleted: " + err.Error()
			return fmt.Errorf("deleting ServerClaim %s: %w", client.ObjectKeyFromObject(o.Claim), err)
		}
	}
	return nil
}

// say writes the status when it differs, and nothing otherwise.
func (r *Reconciler) say(ctx context.Context, m *infra.IngotMachine, p Plan) error {
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
		return fmt.Errorf("recording the status of IngotMachine %s: %w", client.ObjectKeyFromObject(m), err)
	}
	if changed {
		r.Events.Event(client.ObjectKeyFromObject(m), p.Ready.Status != "True", p.Ready.Reason, p.Ready.Message)
	}
	return nil
}

// locked is a patch from before that only the resourceVersion of before may take.
func locked(before client.Object) client.Patch {
	return client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
}
