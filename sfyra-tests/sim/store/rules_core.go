package store

import (
	"bytes"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateSecret is the core of what the API server asks of Secrets: keys, an unchanged type, and no change once immutable.
func validateSecret(old, next *corev1.Secret) field.ErrorList {
	errs := dataKeys(next.Data)
	if old == nil {
		return errs
	}
	if old.Type != next.Type {
		errs = append(errs, field.Invalid(field.NewPath("type"), next.Type, "field is immutable"))
	}
	if frozen(old.Immutable) && (!frozen(next.Immutable) || !maps.EqualFunc(old.Data, next.Data, bytes.Equal)) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
	}
	return errs
}

// validateConfigMap is the same for ConfigMaps.
func validateConfigMap(old, next *corev1.ConfigMap) field.ErrorList {
	errs := append(dataKeys(next.Data), dataKeys(next.BinaryData)...)
	for key := range next.BinaryData {
		if _, twice := next.Data[key]; twice {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, "duplicate of key present in binaryData"))
		}
	}
	if old != nil && frozen(old.Immutable) &&
		(!frozen(next.Immutable) || !maps.Equal(old.Data, next.Data) || !maps.EqualFunc(old.BinaryData, next.BinaryData, bytes.Equal)) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
	}
	return errs
}

func frozen(b *bool) bool { return b != nil && *b }

func dataKeys[V any](data map[string]V) field.ErrorList {
	var errs field.ErrorList
	for key := range data {
		for _, message := range utilvalidation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, message))
		}
	}
	return errs
}

// validateMeta checks changed metadata.
func validateMeta(m, old *metav1.ObjectMeta) field.ErrorList {
	errs := validation.ValidateObjectMetaUpdate(m, old, field.NewPath("metadata"))
	return append(errs, validation.ValidateFinalizers(m.Finalizers, field.NewPath("metadata", "finalizers"))...)
}

// validateNew checks the metadata of a new object.
func validateNew(k *kind, m *metav1.ObjectMeta) field.ErrorList {
	return validation.ValidateObjectMeta(m, k.namespaced, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
}
