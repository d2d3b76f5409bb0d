package store

import (
	"context"
	"strconv"
	"unsafe"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// request is an update or a patch.
type request struct {
	verb   Verb
	status bool
	object client.Object
	build  builder
}

// builder makes what the caller wants out of what is stored, or says why it cannot be. What it returns is only read. Its resourceVersion is the
// one that the caller expects, empty for any; nothing says whether the rest is clean.
type builder func(k *kind, stored client.Object, r request) (client.Object, error)

// replace is the builder of Update.
func replace(k *kind, stored client.Object, r request) (client.Object, error) {
	m, old := metaOf(r.object), metaOf(stored)
	if m.ResourceVersion == "" && k.custom {
		return nil, k.invalid(m.Name, field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update"))
	}
	if m.UID != "" && m.UID != old.UID {
		return nil, apierrors.NewConflict(k.resource, m.Name, errModified)
	}
	return r.object, nil
}

// Update replaces all but the status.
func (c *Client) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	k, err := c.store.kindOf(obj)
	if err != nil {
		return err
	}
	var o client.UpdateOptions
	if o.ApplyOptions(opts); len(o.DryRun) > 0 {
		return errOption
	}
	return c.change(ctx, k, request{verb: Update, object: obj, build: replace})
}

// Patch applies a merge patch to all but the status.
func (c *Client) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	k, err := c.store.kindOf(obj)
	if err != nil {
		return err
	}
	var o client.PatchOptions
	if o.ApplyOptions(opts); len(o.DryRun) > 0 {
		return errOption
	}
	build, err := k.patchOf(patch, obj)
	if err != nil {
		return err
	}
	return c.change(ctx, k, request{verb: Patch, object: obj, build: build})
}

// change carries out an update or a patch and gives the caller the answer.
func (c *Client) change(ctx context.Context, k *kind, r request) error {
	key, err := k.address(r.object.GetNamespace(), r.object.GetName())
	if err != nil {
		return err
	}
	op := c.op(r.verb, k, key)
	op.Status = r.status
	outcome, err := c.store.begin(ctx, k, op)
	if err != nil {
		return err
	}
	result, err := c.store.change(c.who, k, key, r)
	if lost := outcome.answer(op); lost != nil {
		return lost
	}
	if err != nil {
		return err
	}
	k.answer(result, r.object)
	return nil
}

// change returns the stored object after an update or a patch.
func (s *Store) change(who Identity, k *kind, key types.NamespacedName, r request) (client.Object, error) {
	stored := k.objects.get(key)
	if stored == nil {
		return nil, apierrors.NewNotFound(k.resource, key.Name)
	}
	wanted, err := r.build(k, stored, r)
	if err != nil {
		return nil, err
	}
	if v := metaOf(wanted).ResourceVersion; v != "" && v != metaOf(stored).ResourceVersion {
		return nil, apierrors.NewConflict(k.resource, key.Name, errModified)
	}
	w := Write{Who: who.Name, Verb: r.verb, Status: r.status, Key: key, Before: stored}
	prepare := k.prepare
	if r.status {
		w.After, prepare = k.withStatus(wanted, stored), k.prepareStatus
	} else {
		w.After = k.content(wanted, stored)
	}
	changed, errs := prepare(stored, w.After)
	if len(errs) > 0 {
		return nil, k.invalid(key.Name, errs...)
	}
	if !r.status {
		if err := k.admit(who, stored, w.After); err != nil {
			return nil, err
		}
	}
	return s.keep(k, w, changed), nil
}

// keep commits a write if it changes something. What is being deleted and held by no finalizer goes.
func (s *Store) keep(k *kind, w Write, changed bool) client.Object {
	m := metaOf(w.After)
	if !changed {
		return w.Before
	}
	result := w.After
	if m.DeletionTimestamp != nil && len(m.Finalizers) == 0 {
		w.After = nil
		m.ResourceVersion = strconv.FormatInt(s.version+1, 10)
	}
	s.commit(k, w)
	return result
}

// prepare makes next, an update of old with unchecked metadata and content, what would be stored, and says whether it differs from old.
func (k *kind) prepare(old, next client.Object) (changed bool, errs field.ErrorList) {
	was, m := metaOf(old), metaOf(next)
	k.inherit(was, m)
	contentChanged, metaChanged := k.tidy(old, next)
	if contentChanged {
		if k.custom {
			m.Generation++
		}
		errs = append(errs, k.validate(old, next)...)
	}
	if metaChanged {
		errs = append(errs, validateMeta(m, was)...)
	}
	return contentChanged || metaChanged, errs
}

// tidy cleans content and metadata and compares them with old. What is equal is shared with old again.
func (k *kind) tidy(old, next client.Object) (contentChanged, metaChanged bool) {
	if t, ok := next.GetObjectKind().(*metav1.TypeMeta); ok {
		t.APIVersion, t.Kind = k.apiVersion, k.gvk.Kind
	}
	k.complete(next)
	k.contentShape.tidy(k.pointer(next))
	contentChanged = old == nil || !k.contentShape.equal(k.pointer(old), k.pointer(next))
	m := metaOf(next)
	k.metaShape.tidy(unsafe.Pointer(m))
	metaChanged = old == nil || !k.metaShape.equal(unsafe.Pointer(metaOf(old)), unsafe.Pointer(m))
	return contentChanged, metaChanged
}

// inherit takes over the metadata that no client may change.
func (k *kind) inherit(old, m *metav1.ObjectMeta) {
	if m.UID == "" {
		m.UID = old.UID
	}
	m.Name, m.Namespace = old.Name, old.Namespace
	m.CreationTimestamp, m.Generation = old.CreationTimestamp, old.Generation
	if old.DeletionTimestamp != nil {
		m.DeletionTimestamp = old.DeletionTimestamp
	}
	if m.DeletionGracePeriodSeconds == nil {
		m.DeletionGracePeriodSeconds = old.DeletionGracePeriodSeconds
	}
	m.ResourceVersion, m.ManagedFields = old.ResourceVersion, nil
}

// prepareStatus is prepare for the status alone.
func (k *kind) prepareStatus(old, next client.Object) (bool, field.ErrorList) {
	k.statusShape.tidy(k.pointer(next))
	if k.statusShape.equal(k.pointer(old), k.pointer(next)) {
		return false, nil
	}
	return true, k.wrong(k.checkStatus, old, next)
}
