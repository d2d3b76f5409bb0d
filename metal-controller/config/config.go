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

// Objects are all manifests, in the order in which they can be applied.
func Objects() ([]*unstructured.Unstructured, error) {
	return manifests.Read(files, "*.yaml")
}

// Rules are what the controllers may do: everywhere, and in the system namespace only.
func Rules() (everywhere, inSystem []rbacv1.PolicyRule, err error) {
	objects, err := Objects()
	if err != nil {
		return nil, nil, err
	}
	for _, o := range objects {
		var role rbacv1.Role // a ClusterRole has its rules in the same place
		if o.GetKind() != "ClusterRole" && o.GetKind() != "Role" {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
			return nil, nil, fmt.Errorf("reading %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		if o.GetKind() == "Role" {
			inSystem = append(inSystem, role.Rules...)
		} else {
			everywhere = append(everywhere, role.Rules...)
		}
	}
	return everywhere, inSystem, nil
}
