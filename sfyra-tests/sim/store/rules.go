package store

import (
	"reflect"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// complete fills in what the API server fills in.
func (k *kind) complete(next client.Object) {
	if s, ok := next.(*corev1.Secret); ok {
		if s.Type == "" {
			s.Type = corev1.SecretTypeOpaque
		}
		for key, value := range s.StringData {
			if s.Data == nil {
				s.Data = map[string][]byte{}
			}
			s.Data[key] = []byte(value)
		}
		s.StringData = nil
	}
}

// validate checks content, or the status, that differs from what is stored; old is nil for a new object.
func (k *kind) validate(old, next client.Object, status bool) field.ErrorList {
	if status {
		return nil
	}
	switch next := next.(type) {
	case *metal.Server:
		old, _ := old.(*metal.Server)
		return validateServer(old, next)
	case *metal.ServerClaim:
		old, _ := old.(*metal.ServerClaim)
		return validateClaim(old, next)
	}
	return nil
}

var (
	recordShape = compile(reflect.TypeFor[*metal.ServerRecord]())
	acceptShape = compile(reflect.TypeFor[metal.AcceptRequest]())
	specPath    = field.NewPath("spec")
)

func equalRecord(a, b *metal.ServerRecord) bool {
	return recordShape.equal(unsafe.Pointer(&a), unsafe.Pointer(&b))
}

// validateServer is the CEL rules of Server.
func validateServer(old, next *metal.Server) field.ErrorList {
	var errs field.ErrorList
	if len(next.Name) > 63 {
		errs = append(errs, field.Invalid(field.NewPath(""), next.Name, "the name of a Server has at most 63 characters"))
	}
	if old == nil {
		return errs
	}
	was, is := &old.Spec, &next.Spec
	if a, b := was.PowerRequest, is.PowerRequest; a != nil && b != nil && a.ID == b.ID && (a.Action != b.Action || !a.RequestedAt.Equal(&b.RequestedAt)) {
		errs = append(errs, field.Invalid(specPath, "object", "a changed powerRequest needs a new id"))
	}
	if a, b := was.AcceptRequest, is.AcceptRequest; a != nil && b != nil && a.ID == b.ID && !acceptShape.equal(unsafe.Pointer(a), unsafe.Pointer(b)) {
		errs = append(errs, field.Invalid(specPath, "object", "a changed acceptRequest needs a new id"))
	}
	if a, b := was.QuarantineRequest, is.QuarantineRequest; a != nil && b != nil && a.ID == b.ID &&
		(a.Action != b.Action || a.Message != b.Message || !a.RequestedAt.Equal(&b.RequestedAt)) {
		errs = append(errs, field.Invalid(specPath, "object", "a changed quarantineRequest needs a new id"))
	}
	return errs
}

// validateClaim is the CEL rules of ServerClaim.
func validateClaim(old, next *metal.ServerClaim) field.ErrorList {
	var errs field.ErrorList
	if old == nil || old.Spec.Binding == nil {
		return nil
	}
	if !same(old.Spec.Binding, next.Spec.Binding) {
		errs = append(errs, field.Invalid(specPath, "object", "binding is immutable"))
	}
	if old.Spec.ClassName != next.Spec.ClassName {
		errs = append(errs, field.Invalid(specPath, "object", "className is immutable once the claim is bound"))
	}
	return errs
}

// validateMeta checks changed metadata.
func validateMeta(m, old *metav1.ObjectMeta) field.ErrorList {
	return validation.ValidateObjectMetaUpdate(m, old, field.NewPath("metadata"))
}

// validateNew checks the metadata of a new object.
func validateNew(k *kind, m *metav1.ObjectMeta) field.ErrorList {
	return validation.ValidateObjectMeta(m, k.namespaced, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
}
