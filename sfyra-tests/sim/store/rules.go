package store

import (
	"reflect"
	"slices"
	"strings"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// complete fills in what the API server fills in.
func (k *kind) complete(next client.Object) {
	if k.defaults != nil {
		k.defaults(k.pointer(next))
	}
	s, ok := next.(*corev1.Secret)
	if !ok {
		return
	}
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

// validate checks content that differs from what is stored; old is nil for a new object.
func (k *kind) validate(old, next client.Object) field.ErrorList {
	if errs := k.wrong(k.checkContent, old, next); len(errs) > 0 {
		return errs
	}
	switch next := next.(type) {
	case *metal.Server:
		old, _ := old.(*metal.Server)
		return validateServer(old, next)
	case *metal.ServerClaim:
		old, _ := old.(*metal.ServerClaim)
		return validateClaim(old, next)
	case *metal.ServerClass:
		return validateClass(next)
	case *metal.Environment:
		return validateEnvironment(next)
	case *corev1.Secret:
		old, _ := old.(*corev1.Secret)
		return validateSecret(old, next)
	case *corev1.ConfigMap:
		old, _ := old.(*corev1.ConfigMap)
		return validateConfigMap(old, next)
	}
	return nil
}

func (k *kind) wrong(c check, old, next client.Object) field.ErrorList {
	if c == nil {
		return nil
	}
	var before unsafe.Pointer
	if old != nil {
		before = k.pointer(old)
	}
	if message := c(k.pointer(next), before); message != "" {
		return field.ErrorList{field.Invalid(field.NewPath(""), "object", message)}
	}
	return nil
}

var (
	recordShape = compile(reflect.TypeFor[*metal.ServerRecord]())
	acceptShape = compile(reflect.TypeFor[metal.AcceptRequest]())
	// releaseShape compares gestures that give a server up.
	releaseShape = compile(reflect.TypeFor[metal.ReleaseRequest]())
	specPath     = field.NewPath("spec")
)

func equalRecord(a, b *metal.ServerRecord) bool {
	return recordShape.equal(unsafe.Pointer(&a), unsafe.Pointer(&b))
}

// validateBMC is the CEL rules of Server.spec.bmc.
func validateBMC(b *metal.BMC) field.ErrorList {
	var errs field.ErrorList
	if strings.ContainsAny(b.Endpoint, "/@ ") {
		errs = append(errs, field.Invalid(specPath.Child("bmc", "endpoint"), b.Endpoint, "endpoint is a host name or an IP address"))
	}
	if b.VirtualMediaURI != "" && b.HTTPBootURI != "" {
		errs = append(errs, field.Invalid(specPath.Child("bmc"), "object", "httpBootURI and virtualMediaURI are two ways to the same boot"))
	}
	if b.VirtualMediaURI != "" && b.Protocol == metal.BMCIPMI {
		errs = append(errs, field.Invalid(specPath.Child("bmc"), "object", "IPMI has no virtual media"))
	}
	return errs
}

// validateServer is the CEL rules of Server.
func validateServer(old, next *metal.Server) field.ErrorList {
	var errs field.ErrorList
	if b := next.Spec.BMC; b != nil {
		errs = append(errs, validateBMC(b)...)
	}
	if len(next.Name) > 63 {
		errs = append(errs, field.Invalid(field.NewPath(""), next.Name, "the name of a Server has at most 63 characters"))
	}
	if old == nil {
		return errs
	}
	return append(errs, validateRequests(&old.Spec, &next.Spec)...)
}

// validateRequests: a one-time request that changes is another one.
func validateRequests(was, is *metal.ServerSpec) field.ErrorList {
	return slices.Concat(
		renewed("powerRequest", was.PowerRequest, is.PowerRequest, func(a, b *metal.PowerRequest) bool {
			return a.ID != b.ID || a.Action == b.Action && a.BindingID == b.BindingID && a.RequestedAt.Equal(&b.RequestedAt)
		}),
		renewed("acceptRequest", was.AcceptRequest, is.AcceptRequest, func(a, b *metal.AcceptRequest) bool {
			return a.ID != b.ID || acceptShape.equal(unsafe.Pointer(a), unsafe.Pointer(b))
		}),
		renewed("quarantineRequest", was.QuarantineRequest, is.QuarantineRequest, func(a, b *metal.QuarantineRequest) bool {
			return a.ID != b.ID || a.Action == b.Action && a.Message == b.Message && a.RequestedAt.Equal(&b.RequestedAt)
		}),
		renewed("bmcRequest", was.BMCRequest, is.BMCRequest, func(a, b *metal.BMCRequest) bool {
			return a.ID != b.ID || a.Action == b.Action && a.RequestedAt.Equal(&b.RequestedAt)
		}),
		renewed("ownerRequest", was.OwnerRequest, is.OwnerRequest, func(a, b *metal.OwnerRequest) bool {
			return a.ID != b.ID || a.Action == b.Action && a.Epoch == b.Epoch && a.Force == b.Force && a.RequestedAt.Equal(&b.RequestedAt)
		}),
		renewed("releaseRequest", was.ReleaseRequest, is.ReleaseRequest, func(a, b *metal.ReleaseRequest) bool {
			return a.ID != b.ID || releaseShape.equal(unsafe.Pointer(a), unsafe.Pointer(b))
		}),
	)
}

// renewed refuses a request that is there before and after, and is neither another one nor the same.
func renewed[T any](name string, was, is *T, kept func(a, b *T) bool) field.ErrorList {
	if was == nil || is == nil || kept(was, is) {
		return nil
	}
	return field.ErrorList{field.Invalid(specPath, "object", "a changed "+name+" needs a new id")}
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
	if old.Spec.EnvironmentName != next.Spec.EnvironmentName {
		errs = append(errs, field.Invalid(specPath, "object", "environmentName is immutable once the claim is bound"))
	}
	if old.Spec.BootstrapEtcd != next.Spec.BootstrapEtcd {
		errs = append(errs, field.Invalid(specPath, "object", "bootstrapEtcd is immutable once the claim is bound"))
	}
	return errs
}
