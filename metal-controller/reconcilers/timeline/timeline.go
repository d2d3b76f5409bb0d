// Package timeline tells of boots that are over, once each, in the words of Server.status.boots.
//
// Layer 3.
package timeline

import (
	"context"
	"slices"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/traces"
)

// Listener is told of boots. It does not wait.
type Listener interface {
	Boot(server string, b metal.BootTimeline)
}

// Reconciler looks at Servers, one at a time. It writes nothing.
type Reconciler struct {
	Client client.Client
	Out    Listener
	Now    func() time.Time
	// Since is when this process began: what was seen of last before that, another one told of.
	Since time.Time

	told map[string][]string // ids of boots by server
}

// SetupWithManager registers it. Only the leader runs it.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("timeline").For(&metal.Server{}).Complete(r)
}

// Reconcile tells of the boots of one server that are over.
func (r *Reconciler) Reconcile(ctx context.Context, q ctrl.Request) (ctrl.Result, error) {
	var s metal.Server
	if err := r.Client.Get(ctx, q.NamespacedName, &s); err != nil {
		delete(r.told, q.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before, now := r.told[s.Name], r.Now()
	var told []string
	var again time.Duration
	for i, b := range s.Status.Boots { // the newest first
		if !slices.Contains(before, b.ID) && !traces.Last(b).Before(r.Since) {
			if wait := traces.Wait(b, i > 0, now); wait > 0 {
				again = wait
				continue
			}
			r.Out.Boot(s.Name, b)
		}
		told = append(told, b.ID)
	}
	if r.told == nil {
		r.told = map[string][]string{}
	}
	r.told[s.Name] = told
	return ctrl.Result{RequeueAfter: again}, nil
}
