package cli

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// lock keeps a Server in use from being deleted.
const lock = "metal.ingot.dev/lock"

// bring puts a Server that was let go in place here, with its inventory and the Secret of its BMC. A copy that clusterctl brought earlier makes way; so does one
// that registered here, as long as nothing was begun with it.
func (a *adoption) bring(ctx context.Context, source, here client.Client, s *metal.Server) error {
	if err := a.makeWay(ctx, here, s); err != nil {
		return err
	}
	if s.Spec.BMC != nil {
		secret := &corev1.Secret{}
		if err := carry(ctx, source, here, types.NamespacedName{Namespace: metal.SystemNamespace, Name: s.Spec.BMC.CredentialsSecret}, secret); err != nil {
			return err
		}
	}
	if err := carry(ctx, source, here, client.ObjectKeyFromObject(s), &metal.ServerInventory{}); err != nil {
		return err
	}
	err := here.Create(ctx, bare(s.DeepCopy()))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("bringing %s here: %w", s.Name, explain(err))
	}
	return nil
}

// makeWay deletes what is here of a Server that is nobody's, or the other installation's.
func (a *adoption) makeWay(ctx context.Context, here client.Client, s *metal.Server) error {
	var have metal.Server
	err := here.Get(ctx, client.ObjectKeyFromObject(s), &have)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return explain(err)
	}
	theirs, ours := recordOf(s).ManagedBy, recordOf(&have)
	if ours.ManagedBy != nil && ours.ManagedBy.Installation != theirs.Installation && (ours.Acceptance != nil || ours.Claim != nil) {
		return refused("%s: a Server of that name is here, and accepted or claimed; is it the same machine? Delete the wrong one first", s.Name)
	}
	before := have.DeepCopy()
	if _, locked := have.Annotations[lock]; locked {
		delete(have.Annotations, lock)
		if err := here.Patch(ctx, &have, client.MergeFrom(before)); err != nil {
			return explain(err)
		}
	}
	if err := here.Delete(ctx, &have, client.Preconditions{UID: &have.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("making way for %s: %w", s.Name, explain(err))
	}
	return nil
}

// carry copies an object, unless there is none or one of its name is here.
func carry(ctx context.Context, source, here client.Client, key types.NamespacedName, o client.Object) error {
	err := source.Get(ctx, key, o)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return explain(err)
	}
	if err := here.Create(ctx, bare(o)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("bringing %s here: %w", key.Name, explain(err))
	}
	return nil
}

// bare takes off what belongs to the API server that an object was read from.
func bare[O client.Object](o O) O {
	o.SetResourceVersion("")
	o.SetUID("")
	o.SetManagedFields(nil)
	o.SetOwnerReferences(nil)
	o.SetCreationTimestamp(metav1.Time{})
	o.SetGeneration(0)
	return o
}
