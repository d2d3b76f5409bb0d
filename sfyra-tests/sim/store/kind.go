package store

import (
	"reflect"
	"sync"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// traits are what is fixed for a kind. Its functions take and give objects of that kind's Go type only.
type traits struct {
	gvk        schema.GroupVersionKind
	apiVersion string
	resource   schema.GroupResource
	namespaced bool
	// custom kinds have a generation and refuse updates without a resourceVersion.
	custom bool
	// status is whether status is a subresource.
	status bool

	blank   func() client.Object
	pointer func(client.Object) unsafe.Pointer
	at      func(unsafe.Pointer) client.Object
	// into copies deeply; share copies the struct only.
	into, share func(from, to client.Object)
	// content is a deep copy of all but the status, which is shared with that of the other object, if any.
	content func(from, status client.Object) client.Object
	// withStatus is a deep copy of the status; all else is shared with the other object.
	withStatus func(from, rest client.Object) client.Object
	isList     func(client.ObjectList) bool
	// fill sets the items of a list.
	fill func(list client.ObjectList, objects []client.Object, deep bool)
	// items are those of a list, and setItems gives them to another list, which shares them.
	items    func(list client.ObjectList) any
	setItems func(list client.ObjectList, all any)

	metaShape, contentShape, statusShape shape

	// Of custom kinds: what the schema says. All may be nil.
	checkContent, checkStatus check
	defaults                  func(unsafe.Pointer)
}

// object is a pointer to T that is an API object.
type object[T any] interface {
	*T
	client.Object
	DeepCopyInto(*T)
}

// define makes the traits of a kind from its Go type. items is the list's field; status copies the status, and is nil when there is none.
func define[T any, P object[T], L client.ObjectList](gvk schema.GroupVersionKind, plural string, items func(L) *[]T, status func(to, from *T)) *traits {
	as := func(o client.Object) *T {
		p, _ := o.(P)
		return p
	}
	k := &traits{
		gvk: gvk, apiVersion: gvk.GroupVersion().String(), resource: schema.GroupResource{Group: gvk.Group, Resource: plural}, custom: gvk.Group != "", status: status != nil,
		blank:      func() client.Object { return P(new(T)) },
		pointer:    func(o client.Object) unsafe.Pointer { return unsafe.Pointer(as(o)) },
		at:         func(p unsafe.Pointer) client.Object { return P((*T)(p)) },
		into:       func(from, to client.Object) { P(as(from)).DeepCopyInto(as(to)) },
		share:      func(from, to client.Object) { *as(to) = *as(from) },
		content:    func(from, rest client.Object) client.Object { return P(contentOf[T, P](as(from), as(rest), status)) },
		withStatus: func(from, rest client.Object) client.Object { return P(statusOf[T, P](as(from), as(rest), status)) },
		isList:     func(list client.ObjectList) bool { _, ok := list.(L); return ok },
		fill: func(list client.ObjectList, objects []client.Object, deep bool) {
			if l, ok := list.(L); ok {
				*items(l) = itemsOf[T, P](objects, deep)
			}
		},
		items: func(list client.ObjectList) any {
			l, _ := list.(L)
			return (*items(l))[:len(*items(l)):len(*items(l))] // who appends gets a copy
		},
		setItems: func(list client.ObjectList, all any) {
			if l, ok := list.(L); ok {
				*items(l), _ = all.([]T)
			}
		},
	}
	k.shapes(reflect.TypeFor[T]())
	return k
}

// shapes compiles the three parts of an object that are compared on their own.
func (k *traits) shapes(t reflect.Type) {
	except := func(names ...string) func(string) bool {
		return func(name string) bool {
			for _, n := range names {
				if n == name {
					return true
				}
			}
			return false
		}
	}
	k.metaShape = structShape(fieldsOf(reflect.TypeFor[metav1.ObjectMeta](), except("ResourceVersion", "ManagedFields", "SelfLink")))
	k.contentShape = structShape(fieldsOf(t, except("TypeMeta", "ObjectMeta", "Status")))
	k.statusShape = structShape(fieldsOf(t, func(name string) bool { return name != "Status" }))
}

func contentOf[T any, P object[T]](from, rest *T, status func(to, from *T)) *T {
	var blank, out T
	if rest == nil {
		rest = &blank
	}
	part := *from
	if status != nil {
		status(&part, &blank)
	}
	P(&part).DeepCopyInto(&out)
	if status != nil {
		status(&out, rest)
	}
	return &out
}

func statusOf[T any, P object[T]](from, rest *T, status func(to, from *T)) *T {
	var part, deep T
	status(&part, from)
	P(&part).DeepCopyInto(&deep)
	out := *rest
	status(&out, &deep)
	return &out
}

func itemsOf[T any, P object[T]](objects []client.Object, deep bool) []T {
	items := make([]T, len(objects))
	for i, o := range objects {
		p, _ := o.(P)
		if deep {
			p.DeepCopyInto(&items[i])
		} else {
			items[i] = *p
		}
	}
	return items
}

// metaOf is the metadata of an object, to be read or, in an object that is not stored yet, written.
func metaOf(o client.Object) *metav1.ObjectMeta {
	if a, ok := o.(metav1.ObjectMetaAccessor); ok {
		if m, ok := a.GetObjectMeta().(*metav1.ObjectMeta); ok {
			return m
		}
	}
	return &metav1.ObjectMeta{}
}

// known compiles the kinds once for all stores: their traits never change.
var known = sync.OnceValues(newKinds)

// newKinds are all that the simulator needs, in the order in which they are walked.
func newKinds() ([]*traits, error) {
	schemas, err := schemas()
	if err != nil {
		return nil, err
	}
	m, core := metal.GroupVersion.WithKind, corev1.SchemeGroupVersion.WithKind
	all := []*traits{
		define[metal.Server](m("Server"), "servers", func(l *metal.ServerList) *[]metal.Server { return &l.Items }, func(to, from *metal.Server) { to.Status = from.Status }),
		define[metal.ServerInventory](m("ServerInventory"), "serverinventories", func(l *metal.ServerInventoryList) *[]metal.ServerInventory { return &l.Items }, nil),
		define[metal.ServerClass](m("ServerClass"), "serverclasses", func(l *metal.ServerClassList) *[]metal.ServerClass { return &l.Items }, func(to, from *metal.ServerClass) { to.Status = from.Status }),
		define[metal.ServerClaim](m("ServerClaim"), "serverclaims", func(l *metal.ServerClaimList) *[]metal.ServerClaim { return &l.Items }, func(to, from *metal.ServerClaim) { to.Status = from.Status }),
		define[metal.Environment](m("Environment"), "environments", func(l *metal.EnvironmentList) *[]metal.Environment { return &l.Items }, func(to, from *metal.Environment) { to.Status = from.Status }),
		define[corev1.Secret](core("Secret"), "secrets", func(l *corev1.SecretList) *[]corev1.Secret { return &l.Items }, nil),
		define[corev1.ConfigMap](core("ConfigMap"), "configmaps", func(l *corev1.ConfigMapList) *[]corev1.ConfigMap { return &l.Items }, nil),
	}
	for _, k := range all {
		k.namespaced = !k.custom || k.gvk.Kind == "ServerClaim"
		if s := schemas[k.gvk.Kind]; k.custom && s != nil {
			k.obey(reflect.TypeOf(k.blank()).Elem(), s)
		}
	}
	return all, nil
}
