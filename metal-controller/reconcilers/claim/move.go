package claim

import (
	"context"
	"fmt"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// guard keeps clusterctl from moving a claim whose server was not let go: its installation might act on the machine while another one does. The server reconciler
// decides; the very claim must be meant.
func (r *Reconciler) guard(ctx context.Context, claim *metal.ServerClaim, server *metal.Server) error {
	before := claim.DeepCopy()
	if !block(claim, !letGo(claim, server, r.Installation)) {
		return nil
	}
	if err := r.Client.Patch(ctx, claim, locked(before)); err != nil {
		return fmt.Errorf("writing what keeps ServerClaim %s from being moved: %w", key(claim), err)
	}
	return nil
}

// letGo says that this installation let the server go with this claim, and that its passport is written.
func letGo(claim *metal.ServerClaim, server *metal.Server, installation string) bool {
	r := server.Spec.Record
	if r == nil || r.ManagedBy == nil || r.ManagedBy.LetGo == nil || claim.Spec.Binding == nil {
		return false
	}
	let := r.ManagedBy.LetGo
	return r.ManagedBy.Installation == installation && let.PackedAt != nil && let.ClaimUID == string(claim.UID) && let.BindingID == claim.Spec.Binding.BindingID
}

// block sets or takes away the annotation that clusterctl waits for, and says whether that changed the claim. Claims without a Cluster are never moved.
func block(claim *metal.ServerClaim, wanted bool) bool {
	_, blocks := claim.Annotations[metal.BlockMoveAnnotation]
	wanted = wanted && claim.Labels[metal.ClusterAPILabel] != ""
	if blocks == wanted {
		return false
	}
	if !wanted {
		delete(claim.Annotations, metal.BlockMoveAnnotation)
		return true
	}
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	claim.Annotations[metal.BlockMoveAnnotation] = ""
	return true
}

// arriving says that the claim came from another API server, and the Server here does not hold the binding yet since nobody did anything with it: it is taken over
// once its Cluster goes on here.
func arriving(claim *metal.ServerClaim, server *metal.Server) bool {
	_, held := claim.Annotations[metal.ClusterPausedAnnotation]
	record := server.Spec.Record
	return held && (record == nil || record.Claim == nil && record.Acceptance == nil && record.Release == nil)
}
