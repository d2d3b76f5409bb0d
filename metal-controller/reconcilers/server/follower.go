package server

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/sightings"
)

// Follower writes down what a replica without leadership saw: agents and pxe-servers speak to any replica, and only the leader reconciles.
// It writes nothing but boots, addresses, progress and events, which permit nothing, and it ends when its replica becomes the leader.
type Follower struct {
	*Reconciler
	// Elected is closed when this replica leads.
	Elected <-chan struct{}
}

// NeedLeaderElection is false: it runs where the reconciler does not.
func (f *Follower) NeedLeaderElection() bool { return false }

// Start writes until ctx ends or this replica leads.
func (f *Follower) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.Elected:
			return nil // the reconciler looks at every Server once it starts
		case <-f.Sightings.Signal():
			for _, name := range f.Sightings.Drain() {
				f.Write(ctx, name)
			}
		}
	}
}

// Write merges what was seen into one Server's status. What could not be written comes with the next sighting.
func (f *Follower) Write(ctx context.Context, name string) {
	var server metal.Server
	if err := f.Live.Get(ctx, types.NamespacedName{Name: name}, &server); err != nil {
		return // gone, or told again by the next sighting
	}
	if others := f.conflicts(ctx, name); len(others) > 0 {
		f.Events.Event(name, true, reasons.IdentityConflict, "The same evidence points to "+strings.Join(others, ", ")+" too.")
	}
	before := server.DeepCopy()
	server.Status.Boots = sightings.Merge(server.Status.Boots, f.Sightings.Boots(name))
	if seen := f.Sightings.Addresses(name); seen != nil && !slices.Equal(seen, server.Status.Addresses) {
		server.Status.Addresses = seen
	}
	server.Status.Wipe = f.progress(&server)
	if equality.Semantic.DeepEqual(before.Status, server.Status) {
		return
	}
	err := f.Client.Status().Patch(ctx, &server, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) {
		f.Sightings.Again(name) // the leader wrote at the same moment
	} else if client.IgnoreNotFound(err) != nil {
		log.FromContext(ctx).Error(err, "Writing down what was seen", "server", name)
	}
}
