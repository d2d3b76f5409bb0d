package desk

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Inventory writes the ServerInventory of the caller's Server, with the boot that reported it and how far that boot is proven. That it is the
// inventory of the machine which enrolled is for the caller of this function to check. Refusals: ErrGone, ErrForeign, ErrNotBelieved.
func (d *Desk) Inventory(ctx context.Context, c lifecycle.Caller, server string, spec metal.ServerInventorySpec) error {
	own, err := d.admitted(ctx, c, server)
	if err != nil {
		return err
	}
	if !lifecycle.Believed(own, c) { // it waits, unproven, on an accepted server: what it says of the hardware counts for nothing there
		return nil
	}
	spec.ReportedAt = d.at()
	spec.Agent.BootID, spec.Agent.Proven = c.BootID, lifecycle.TrustLevel(own, c)
	if err := d.write(ctx, own, spec); err != nil {
		return fmt.Errorf("writing ServerInventory %s: %w", server, err)
	}
	return nil
}

// write creates or replaces the ServerInventory, and leaves it alone when only the time of the report differs.
func (d *Desk) write(ctx context.Context, own *metal.Server, spec metal.ServerInventorySpec) error {
	var old metal.ServerInventory
	err := d.Live.Get(ctx, types.NamespacedName{Name: own.Name}, &old)
	if apierrors.IsNotFound(err) {
		return d.Client.Create(ctx, &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: own.Name, OwnerReferences: ownedBy(own)}, Spec: spec})
	}
	if err != nil {
		return err
	}
	same := old.Spec
	same.ReportedAt = spec.ReportedAt
	if equality.Semantic.DeepEqual(same, spec) && equality.Semantic.DeepEqual(old.OwnerReferences, ownedBy(own)) {
		return nil
	}
	// The resourceVersion of the read makes a concurrent report fail rather than be overwritten; the agent tries again.
	changed := old.DeepCopy()
	changed.Spec, changed.OwnerReferences = spec, ownedBy(own)
	return d.Client.Patch(ctx, changed, client.MergeFromWithOptions(&old, client.MergeFromWithOptimisticLock{}))
}

// ownedBy lets an inventory go with its Server: one that stayed would describe whatever machine gets the name next.
func ownedBy(own *metal.Server) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: metal.GroupVersion.String(), Kind: "Server", Name: own.Name, UID: own.UID}}
}
