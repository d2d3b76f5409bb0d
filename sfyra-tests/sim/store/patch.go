package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"unsafe"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mergeFrom is the type of client.MergeFrom's patches, which controller-runtime does not export.
var mergeFrom = reflect.TypeOf(client.MergeFrom(&metav1.PartialObjectMetadata{}))

// patchOf turns a patch into a builder. The common one, client.MergeFrom of an object as it was read, is not rendered as JSON: where its base is what is
// stored, the result is the caller's object.
func (k *kind) patchOf(patch client.Patch, obj client.Object) (builder, error) {
	if patch.Type() != types.MergePatchType {
		return nil, apierrors.NewGenericServerResponse(415, "PATCH", metav1.Unversioned.WithResource("").GroupResource(), obj.GetName(), "the simulated store takes merge patches only", 0, true)
	}
	if reflect.TypeOf(patch) != mergeFrom {
		return mergeJSON(patch), nil
	}
	p := reflect.ValueOf(patch).Elem()
	base, options := p.FieldByName("from"), p.FieldByName("opts")
	if base.Kind() != reflect.Interface || base.IsNil() || base.Elem().Type() != reflect.TypeOf(obj) || options.Kind() != reflect.Struct {
		return mergeJSON(patch), nil
	}
	// The field is not exported, so reflection gives its address only; the type was compared above.
	from, lock := base.Elem().UnsafePointer(), options.FieldByName("OptimisticLock").Bool()
	if lock && metaOf(k.at(from)).ResourceVersion == "" {
		_, err := patch.Data(obj) // its own error, before anything is sent
		return nil, err
	}
	return mergeTyped(patch, from, lock), nil
}

// mergeTyped is mergeJSON without JSON where that gives the same.
func mergeTyped(patch client.Patch, base unsafe.Pointer, locked bool) builder {
	return func(k *kind, stored client.Object, r request) (client.Object, error) {
		from := k.at(base)
		was, m := metaOf(from), metaOf(stored)
		if locked && was.ResourceVersion != m.ResourceVersion {
			return nil, apierrors.NewConflict(k.resource, r.object.GetName(), errModified)
		}
		same := k.contentShape.equal(base, k.pointer(stored)) && k.metaShape.equal(unsafe.Pointer(was), unsafe.Pointer(m))
		if r.status {
			same = k.statusShape.equal(base, k.pointer(stored))
		}
		if !same || r.object.GetUID() != was.UID || !locked && r.object.GetResourceVersion() != was.ResourceVersion {
			return mergeJSON(patch)(k, stored, r)
		}
		return k.expecting(r.object, m.ResourceVersion), nil
	}
}

// expecting is the object with the stored resourceVersion, which the caller's may lack.
func (k *kind) expecting(o client.Object, version string) client.Object {
	if o.GetResourceVersion() == version {
		return o
	}
	copied := k.blank()
	k.share(o, copied)
	metaOf(copied).ResourceVersion = version
	return copied
}

// mergeJSON applies the patch as the API server does (RFC 7396).
func mergeJSON(patch client.Patch) builder {
	return func(k *kind, stored client.Object, r request) (client.Object, error) {
		data, err := patch.Data(r.object)
		if err != nil {
			return nil, err
		}
		change, err := decode(data)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the patch: %v", err))
		}
		whole, err := document(stored)
		if err != nil {
			return nil, fmt.Errorf("rendering %s: %w", k.gvk.Kind, err)
		}
		data, err = json.Marshal(merge(whole, change))
		if err != nil {
			return nil, fmt.Errorf("rendering the patched %s: %w", k.gvk.Kind, err)
		}
		result := k.blank()
		if err := json.Unmarshal(data, result); err != nil {
			return nil, k.invalid(r.object.GetName(), field.Invalid(field.NewPath(""), nil, err.Error()))
		}
		return result, nil
	}
}

func document(o client.Object) (any, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return decode(data)
}

// decode keeps whole numbers as they are.
func decode(data []byte) (document any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&document)
	return document, err
}

// merge is RFC 7396 section 2. It may change and share what is in target.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = merge(object[name], value)
		}
	}
	return object
}
