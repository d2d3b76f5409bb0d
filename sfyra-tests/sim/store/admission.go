package store

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// admit is what the ValidatingAdmissionPolicies that deny say of a create (old is nil) or an update.
func (k *kind) admit(who Identity, old, next client.Object) error {
	if who.Ingot || who.Mover && old == nil && movable(next) {
		return nil
	}
	switch next := next.(type) {
	case *metal.Server:
		var was *metal.ServerRecord
		if old, ok := old.(*metal.Server); ok {
			was = old.Spec.Record
		}
		if !equalRecord(was, next.Spec.Record) {
			return k.forbidden(next, "spec.record is written only by Ingot")
		}
	case *metal.ServerClaim:
		var was *metal.Binding
		if old, ok := old.(*metal.ServerClaim); ok {
			was = old.Spec.Binding
		}
		if !same(was, next.Spec.Binding) {
			return k.forbidden(next, "spec.binding is written only by Ingot")
		}
	case *metal.ServerInventory:
		if old == nil || !k.contentShape.equal(k.pointer(old), k.pointer(next)) {
			return k.forbidden(next, "a ServerInventory is written only by Ingot")
		}
	}
	return nil
}

// movable says that an object which Ingot alone may write may come from another API server as it is: a record that tells in which object its installation wrote it,
// a binding, an inventory of a boot.
func movable(o client.Object) bool {
	switch o := o.(type) {
	case *metal.Server:
		r := o.Spec.Record
		return r != nil && r.ManagedBy != nil && r.ManagedBy.Object != ""
	case *metal.ServerInventory:
		return o.Spec.Agent.BootID != ""
	}
	return true
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// lock and move are annotations that lock.metal.ingot.dev looks at.
const (
	lock = "metal.ingot.dev/lock"
	move = "clusterctl.cluster.x-k8s.io/delete-for-move"
)

// admitDelete is what the policies say of a delete.
func (k *kind) admitDelete(o client.Object) error {
	switch o.(type) {
	case *metal.Server, *metal.ServerClass, *metal.ServerClaim, *metal.Environment:
		a := metaOf(o).Annotations
		_, locked := a[lock]
		if _, moved := a[move]; locked && !moved {
			return k.forbidden(o, "it is in use ("+a[lock]+")")
		}
	}
	return nil
}

func (k *kind) forbidden(o client.Object, message string) error {
	return apierrors.NewForbidden(k.resource, o.GetName(), errors.New(message))
}
