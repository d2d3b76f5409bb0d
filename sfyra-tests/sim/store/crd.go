package store

import (
	"fmt"
	"reflect"
	"strconv"
	"unsafe"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"ingot.dev/ingot/crds/manifests"
)

// schemas are the schemas of the metal API by kind, from the manifests that a real API server gets.
func schemas() (map[string]*scheme, error) {
	objects, err := manifests.Objects()
	if err != nil {
		return nil, err
	}
	found := map[string]*scheme{}
	for _, o := range objects {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		var crd apiextensions.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &crd); err != nil {
			return nil, fmt.Errorf("reading the CustomResourceDefinition %s: %w", o.GetName(), err)
		}
		for _, v := range crd.Spec.Versions {
			found[crd.Spec.Names.Kind] = v.Schema.OpenAPIV3Schema
		}
	}
	return found, nil
}

// obey makes a kind keep its schema.
func (k *traits) obey(t reflect.Type, s *scheme) {
	for i := range t.NumField() {
		f := t.Field(i)
		of, ok := s.Properties[jsonName(f)]
		if !ok {
			continue
		}
		switch f.Name {
		case "Spec":
			k.checkContent = under(f, compileCheck(f.Type, &of))
			k.defaults = compileDefaults(f.Type, &of, f.Offset)
		case "Status":
			k.checkStatus = under(f, compileCheck(f.Type, &of))
		}
	}
}

// under checks one field of an object.
func under(f reflect.StructField, of check) check {
	if of == nil {
		return nil
	}
	return func(p, old unsafe.Pointer) string {
		if old != nil {
			old = unsafe.Add(old, f.Offset)
		}
		if wrong := of(unsafe.Add(p, f.Offset), old); wrong != "" {
			return jsonName(f) + below(wrong)
		}
		return ""
	}
}

// compileDefaults is what fills in the defaults of absent strings and numbers; it is nil when there are none.
func compileDefaults(t reflect.Type, s *scheme, offset uintptr) func(unsafe.Pointer) {
	var all []func(unsafe.Pointer)
	for i := range t.NumField() {
		f := t.Field(i)
		of, ok := s.Properties[jsonName(f)]
		if !ok {
			continue
		}
		at := offset + f.Offset
		switch {
		case of.Default != nil:
			all = append(all, defaultOf(f, string(of.Default.Raw), at))
		case f.Type.Kind() == reflect.Struct:
			all = append(all, compileDefaults(f.Type, &of, at))
		case f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
			if inner := compileDefaults(f.Type.Elem(), &of, 0); inner != nil {
				all = append(all, func(p unsafe.Pointer) {
					if x := *(*unsafe.Pointer)(unsafe.Add(p, at)); x != nil {
						inner(x)
					}
				})
			}
		}
	}
	return sequence(all)
}

func sequence(all []func(unsafe.Pointer)) func(unsafe.Pointer) {
	var steps []func(unsafe.Pointer)
	for _, f := range all {
		if f != nil {
			steps = append(steps, f)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return func(p unsafe.Pointer) {
		for _, f := range steps {
			f(p)
		}
	}
}

func defaultOf(f reflect.StructField, raw string, at uintptr) func(unsafe.Pointer) {
	if v, err := strconv.Unquote(raw); err == nil && f.Type.Kind() == reflect.String {
		return func(p unsafe.Pointer) {
			if s := (*string)(unsafe.Add(p, at)); *s == "" {
				*s = v
			}
		}
	}
	if v, err := strconv.ParseInt(raw, 10, 32); err == nil && f.Type.Kind() == reflect.Int32 {
		return func(p unsafe.Pointer) {
			if n := (*int32)(unsafe.Add(p, at)); *n == 0 {
				*n = int32(v)
			}
		}
	}
	return nil
}
