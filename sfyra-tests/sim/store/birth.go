package store

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Create stores a new object. A status that is a subresource is dropped.
func (c *Client) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	k, err := c.store.kindOf(obj)
	if err != nil {
		return err
	}
	var o client.CreateOptions
	if o.ApplyOptions(opts); len(o.DryRun) > 0 {
		return errOption
	}
	op := c.op(Create, k, client.ObjectKeyFromObject(obj))
	outcome, err := c.store.begin(ctx, k, op)
	if err != nil {
		return err
	}
	result, err := c.store.create(c.who, k, obj)
	if lost := outcome.answer(op); lost != nil {
		return lost
	}
	if err != nil {
		return err
	}
	k.answer(result, obj)
	return nil
}

func (s *Store) create(who Identity, k *kind, obj client.Object) (client.Object, error) {
	next := k.content(obj, nil)
	m := metaOf(next)
	if m.ResourceVersion != "" {
		return nil, apierrors.NewInternalError(fmt.Errorf("resourceVersion should not be set on objects to be created"))
	}
	s.conceive(k, m)
	k.tidy(nil, next)
	errs := append(validateNew(k, m), k.validate(nil, next)...)
	if len(errs) > 0 {
		return nil, k.invalid(m.Name, errs...)
	}
	if err := k.admit(who, nil, next); err != nil {
		return nil, err
	}
	key := client.ObjectKeyFromObject(next)
	if k.objects.get(key) != nil {
		return nil, apierrors.NewAlreadyExists(k.resource, m.Name)
	}
	s.commit(k, Write{Who: who.Name, Verb: Create, Key: key, After: next})
	return next, nil
}

// conceive sets the metadata that the server gives to a new object.
func (s *Store) conceive(k *kind, m *metav1.ObjectMeta) {
	m.UID, m.CreationTimestamp = s.uid(), metav1.NewTime(s.now())
	m.DeletionTimestamp, m.DeletionGracePeriodSeconds = nil, nil
	m.ManagedFields, m.Generation = nil, 0
	if k.custom {
		m.Generation = 1
	}
	if m.Name == "" && m.GenerateName != "" {
		m.Name = m.GenerateName + strings.ReplaceAll(string(m.UID[len(m.UID)-5:]), "-", "x")
	}
}

// Delete deletes an object, or marks it while finalizers hold it.
func (c *Client) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	k, err := c.store.kindOf(obj)
	if err != nil {
		return err
	}
	var o client.DeleteOptions
	if err := refuseDelete(o.ApplyOptions(opts)); err != nil {
		return err
	}
	key, err := k.address(obj.GetNamespace(), obj.GetName())
	if err != nil {
		return err
	}
	op := c.op(Delete, k, key)
	outcome, err := c.store.begin(ctx, k, op)
	if err != nil {
		return err
	}
	err = c.store.remove(c.who, Delete, k, key, o.Preconditions)
	if lost := outcome.answer(op); lost != nil {
		return lost
	}
	return err
}

func refuseDelete(o *client.DeleteOptions) error {
	if len(o.DryRun) > 0 || o.PropagationPolicy != nil && *o.PropagationPolicy != metav1.DeletePropagationBackground {
		return apierrors.NewBadRequest("the simulated store has neither dry runs nor other propagation than background")
	}
	return nil
}

// remove deletes or marks.
func (s *Store) remove(who Identity, verb Verb, k *kind, key types.NamespacedName, p *metav1.Preconditions) error {
	stored := k.objects.get(key)
	if stored == nil {
		return apierrors.NewNotFound(k.resource, key.Name)
	}
	m := metaOf(stored)
	if p != nil && (p.UID != nil && *p.UID != m.UID || p.ResourceVersion != nil && *p.ResourceVersion != m.ResourceVersion) {
		return apierrors.NewConflict(k.resource, key.Name, errPrecondition)
	}
	if err := k.admitDelete(stored); err != nil {
		return err
	}
	w := Write{Who: who.Name, Verb: verb, Key: key, Before: stored}
	if len(m.Finalizers) > 0 {
		if m.DeletionTimestamp != nil {
			return nil
		}
		w.After = s.mark(k, stored)
	}
	s.commit(k, w)
	return nil
}

// mark is the object with a deletion timestamp. All else is shared.
func (s *Store) mark(k *kind, stored client.Object) client.Object {
	next := k.blank()
	k.share(stored, next)
	m := metaOf(next)
	now, grace := metav1.Unix(s.now().Unix(), 0), int64(0)
	m.DeletionTimestamp, m.DeletionGracePeriodSeconds = &now, &grace
	if m.Generation > 0 {
		m.Generation++
	}
	return next
}

var errPrecondition = fmt.Errorf("the UID or the resourceVersion in the precondition does not match that of the object")

// DeleteAllOf deletes what a List with the same options would find, one after the other.
func (c *Client) DeleteAllOf(ctx context.Context, obj client.Object, opts ...client.DeleteAllOfOption) error {
	k, err := c.store.kindOf(obj)
	if err != nil {
		return err
	}
	var o client.DeleteAllOfOptions
	o.ApplyOptions(opts)
	if err := refuseDelete(&o.DeleteOptions); err != nil {
		return err
	}
	op := c.op(Delete, k, types.NamespacedName{Namespace: o.Namespace})
	outcome, err := c.store.begin(ctx, k, op)
	if err != nil {
		return err
	}
	chosen, err := choose(k.objects.sorted, &o.ListOptions, nil)
	for _, x := range chosen {
		if err == nil {
			err = c.store.remove(c.who, Delete, k, client.ObjectKeyFromObject(x), o.Preconditions)
		}
	}
	if lost := outcome.answer(op); lost != nil {
		return lost
	}
	return err
}

func (k *kind) invalid(name string, errs ...*field.Error) error {
	return apierrors.NewInvalid(k.gvk.GroupKind(), name, errs)
}
