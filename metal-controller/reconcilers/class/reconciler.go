// Package class reconciles ServerClasses: it counts the servers of each, and says whether it can be used.
//
// Layer 3. What fits is decided by the pure package allocate. The counts are for people and autoscalers; no server is chosen by them.
package class

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// Evaluator evaluates the CEL expressions of classes; see the package allocate/expr.
type Evaluator interface {
	Check(expression string) error
	Eval(expression string, inventory *metal.ServerInventorySpec, labels map[string]string) (bool, error)
}

// Reconciler reconciles ServerClasses. All fields are required.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client       client.Client
	CEL          Evaluator
	Installation string
	Now          func() time.Time
}

// Reconcile brings the status of one class up to date.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var class metal.ServerClass
	if err := r.Client.Get(ctx, req.NamespacedName, &class); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	candidates, err := r.candidates(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	before := class.DeepCopy()
	r.status(&class, allocate.Tally(&class, r.Installation, candidates, r.CEL.Eval))
	if equality.Semantic.DeepEqual(before.Status, class.Status) {
		return ctrl.Result{}, nil
	}
	if err := r.Client.Status().Patch(ctx, &class, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("recording the status of ServerClass %s: %w", class.Name, err)
	}
	return ctrl.Result{}, nil
}

// candidates are all Servers with their inventories. They are the cache's own, and only read.
func (r *Reconciler) candidates(ctx context.Context) ([]allocate.Candidate, error) {
	var servers metal.ServerList
	var inventories metal.ServerInventoryList
	if err := r.Client.List(ctx, &servers, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing Servers: %w", err)
	}
	if err := r.Client.List(ctx, &inventories, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing ServerInventories: %w", err)
	}
	byName := make(map[string]*metal.ServerInventory, len(inventories.Items))
	for i := range inventories.Items {
		byName[inventories.Items[i].Name] = &inventories.Items[i]
	}
	out := make([]allocate.Candidate, len(servers.Items))
	for i := range servers.Items {
		out[i] = allocate.Candidate{Server: &servers.Items[i], Inventory: byName[servers.Items[i].Name]}
	}
	return out, nil
}

// status writes what was counted. A class that cannot be used has no servers, whatever its other requirements say.
func (r *Reconciler) status(class *metal.ServerClass, n allocate.Numbers) {
	c := metav1.Condition{Type: reasons.Ready, Status: metav1.ConditionTrue, Reason: reasons.ClassReady, Message: "Claims can take servers of this class."}
	if why := allocate.Invalid(class, r.CEL.Check); why != "" {
		n = allocate.Numbers{}
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasons.InvalidClass, allocate.Clip("Its author has to mend "+why, 1024)
	} else if n.Trouble != "" {
		c.Message = allocate.Clip("Claims can take servers of this class, except those for which an expression cannot be evaluated: "+n.Trouble, 1024)
	}
	c.ObservedGeneration, c.LastTransitionTime = class.Generation, metav1.NewTime(r.Now())
	s := &class.Status
	s.Total, s.Available, s.Claimed, s.Capacity, s.Architectures, s.ObservedGeneration = n.Total, n.Available, n.Claimed, n.Capacity, n.Architectures, class.Generation
	meta.SetStatusCondition(&s.Conditions, c)
}
