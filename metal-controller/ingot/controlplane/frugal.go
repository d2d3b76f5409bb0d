package controlplane

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/registry/generic"
	utilfeature "k8s.io/apiserver/pkg/util/feature"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// This file keeps thousands of servers from costing gigabytes: the API server, its etcd and all controllers are one process here, on a machine that may be small.

// withoutSnapshots turns off what the API server does for many clients and several replicas. To find errors in its own cache it reads every object of every kind
// from etcd again each five minutes, all at once; and it keeps the objects of old versions, so that lists of them need no etcd. Ours is in this process.
func withoutSnapshots() error {
	err := utilfeature.DefaultMutableFeatureGate.SetFromMap(map[string]bool{string(features.DetectCacheInconsistency): false, string(features.ListFromCacheSnapshot): false})
	if err != nil {
		return fmt.Errorf("setting features of the API server: %w", err)
	}
	return nil
}

// inventories are large, hardly ever change, and are watched by two clients only.
var inventories = schema.GroupResource{Group: metal.GroupVersion.Group, Resource: "serverinventories"}

// straight lets inventories be read and watched in etcd itself. The API server's cache would hold each once more, as a tree of maps several times its size.
type straight struct{ generic.RESTOptionsGetter }

// GetRESTOptions says how a resource is stored.
func (s straight) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	o, err := s.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err == nil && resource == inventories {
		o.Decorator = generic.UndecoratedStorage
	}
	return o, err
}

// withoutWriters leaves out of the controllers' caches who wrote which field: they ask for nothing of that, and kube-controller-manager does the same.
func withoutWriters(in any) (any, error) {
	if o, err := meta.Accessor(in); err == nil && o.GetManagedFields() != nil {
		o.SetManagedFields(nil)
	}
	return in, nil
}
