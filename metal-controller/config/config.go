// Package config holds the manifests that run metal-controller in a management cluster: plain YAML, for `kubectl apply --server-side -f`.
//
// Layer 0: data. Invariant: rbac.yaml is the one place that says what the controllers may do; the embedded control plane takes its rules from
// here. The Namespace's file sorts first, since kubectl applies a folder in the order of names.
package config

import (
	"embed"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"ingot.dev/ingot/crds/manifests"
)

//go:embed *.yaml
var files embed.FS

const (
	// Account is the ServiceAccount of the controllers, and the name of what it may do.
	Account = "ingot-controller"
	// SecretReader is the ClusterRole that lets the controllers fetch Secrets with machine configs. Operators bind it, namespace by namespace.
	SecretReader = "ingot-config-reader"
)

// Objects are all manifests, in the order in which they can be applied.
func Objects() ([]*unstructured.Unstructured, error) {
	return manifests.Read(files, "*.yaml")
}

// Rules are what the controllers may do: everywhere, and in the system namespace only.
func Rules() (everywhere, inSystem []rbacv1.PolicyRule, err error) {
	if everywhere, err = rules("ClusterRole", Account); err != nil {
		return nil, nil, err
	}
	inSystem, err = rules("Role", Account)
	return everywhere, inSystem, err
}

// SecretRules are what SecretReader gives where it is bound.
func SecretRules() ([]rbacv1.PolicyRule, error) { return rules("ClusterRole", SecretReader) }

// rules are those of one role.
func rules(kind, name string) ([]rbacv1.PolicyRule, error) {
	objects, err := Objects()
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.GetKind() != kind || o.GetName() != name {
			continue
		}
		var role rbacv1.Role // a ClusterRole has its rules in the same place
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
			return nil, fmt.Errorf("reading %s %s: %w", kind, name, err)
		}
		return role.Rules, nil
	}
	return nil, fmt.Errorf("there is no %s %s among the manifests", kind, name)
}
