package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Client writes to the store and reads from it or from a view.
type Client struct {
	store *Store
	who   Identity
	view  *View // nil reads from the store itself
}

var _ client.Client = (*Client)(nil)

// Client acts for who and reads what is stored now, as a client without a cache does.
func (s *Store) Client(who Identity) *Client { return &Client{store: s, who: who} }

// Get reads an object.
func (c *Client) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	k, err := c.store.kindOf(obj)
	if err != nil {
		return err
	}
	if key, err = k.address(key.Namespace, key.Name); err != nil {
		return err
	}
	if _, err := c.store.begin(ctx, k, c.op(Get, k, key)); err != nil {
		return err
	}
	o := c.table(k).get(key)
	if o == nil {
		return apierrors.NewNotFound(k.resource, key.Name)
	}
	var options client.GetOptions
	for _, opt := range opts {
		opt.ApplyToGet(&options)
	}
	switch {
	case c.view == nil:
		k.answer(o, obj)
	case options.UnsafeDisableDeepCopy != nil && *options.UnsafeDisableDeepCopy:
		k.share(o, obj)
	default:
		k.into(o, obj)
	}
	return nil
}

// answer gives the caller a copy. The real client leaves apiVersion and kind out of single objects; a cache has them.
func (k *kind) answer(o, obj client.Object) {
	k.into(o, obj)
	if t, ok := obj.GetObjectKind().(*metav1.TypeMeta); ok {
		*t = metav1.TypeMeta{}
	}
}

func (c *Client) op(v Verb, k *kind, key types.NamespacedName) Op {
	return Op{Who: c.who.Name, Verb: v, Kind: k.gvk.Kind, Key: key, Cached: c.view != nil && (v == Get || v == List)}
}

func (c *Client) table(k *kind) *table {
	if c.view != nil {
		return &c.view.lanes[k.number].objects
	}
	return &k.objects
}

// address is where an object is; the API's paths have no place for a namespaced object without a namespace.
func (k *kind) address(namespace, name string) (types.NamespacedName, error) {
	if name == "" {
		return types.NamespacedName{}, errors.New("resource name may not be empty")
	}
	if !k.namespaced {
		namespace = ""
	} else if namespace == "" {
		return types.NamespacedName{}, errors.New("an empty namespace may not be set when a resource name is provided")
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// Apply is refused.
func (c *Client) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return errApply
}

var errApply = apierrors.NewMethodNotSupported(schema.GroupResource{}, "apply: the simulated store has no server-side apply")

// Status writes the status subresource.
func (c *Client) Status() client.SubResourceWriter { return subresource{c, "status"} }

// SubResource knows "status" only.
func (c *Client) SubResource(name string) client.SubResourceClient { return subresource{c, name} }

// Scheme is empty: the store knows its kinds by their Go types.
func (c *Client) Scheme() *runtime.Scheme { return runtime.NewScheme() }

// RESTMapper knows the store's kinds.
func (c *Client) RESTMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, k := range c.store.kinds {
		scope := meta.RESTScopeRoot
		if k.namespaced {
			scope = meta.RESTScopeNamespace
		}
		m.Add(k.gvk, scope)
	}
	return m
}

// GroupVersionKindFor says the kind of an object or a list of the store's.
func (c *Client) GroupVersionKindFor(o runtime.Object) (schema.GroupVersionKind, error) {
	if k, ok := c.store.byType[reflect.TypeOf(o)]; ok {
		return k.gvk, nil
	}
	if l, ok := o.(client.ObjectList); ok {
		if k := c.store.kindOfList(l); k != nil {
			return k.gvk.GroupVersion().WithKind(k.gvk.Kind + "List"), nil
		}
	}
	return schema.GroupVersionKind{}, fmt.Errorf("finding the kind of %T: the store has no such kind", o)
}

// IsObjectNamespaced says whether objects of the kind are in namespaces.
func (c *Client) IsObjectNamespaced(o runtime.Object) (bool, error) {
	k, ok := c.store.byType[reflect.TypeOf(o)]
	if !ok {
		return false, fmt.Errorf("finding the scope of %T: the store has no such kind", o)
	}
	return k.namespaced, nil
}

// subresource is the client of one subresource. Only status exists.
type subresource struct {
	c    *Client
	name string
}

func (s subresource) kind(obj client.Object) (*kind, error) {
	k, err := s.c.store.kindOf(obj)
	if err == nil && (s.name != "status" || !k.status) {
		err = apierrors.NewGenericServerResponse(404, "", k.resource, obj.GetName(), "", 0, true)
	}
	return k, err
}

// Get reads the whole object, as the status subresource does.
func (s subresource) Get(ctx context.Context, obj, into client.Object, _ ...client.SubResourceGetOption) error {
	if _, err := s.kind(obj); err != nil {
		return err
	}
	live := *s.c
	live.view = nil
	return live.Get(ctx, client.ObjectKeyFromObject(obj), into)
}

// Create is refused: a status is created with its object.
func (s subresource) Create(_ context.Context, obj, _ client.Object, _ ...client.SubResourceCreateOption) error {
	k, err := s.kind(obj)
	if err != nil {
		return err
	}
	return apierrors.NewMethodNotSupported(k.resource, "create")
}

// Apply is refused.
func (s subresource) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return errApply
}

// Update replaces the status.
func (s subresource) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	k, err := s.kind(obj)
	if err != nil {
		return err
	}
	var o client.SubResourceUpdateOptions
	o.ApplyOptions(opts)
	if o.SubResourceBody != nil || len(o.DryRun) > 0 {
		return errOption
	}
	return s.c.change(ctx, k, request{verb: Update, status: true, object: obj, build: replace})
}

// Patch patches the status.
func (s subresource) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	k, err := s.c.store.kindOf(obj)
	if err != nil {
		return err
	}
	var o client.SubResourcePatchOptions
	o.ApplyOptions(opts)
	if o.SubResourceBody != nil || len(o.DryRun) > 0 {
		return errOption
	}
	build, err := k.patchOf(patch, obj)
	if err != nil {
		return err
	}
	if _, err := s.kind(obj); err != nil {
		return err
	}
	return s.c.change(ctx, k, request{verb: Patch, status: true, object: obj, build: build})
}

var errOption = apierrors.NewBadRequest("the simulated store has neither dry runs nor bodies of subresources")
