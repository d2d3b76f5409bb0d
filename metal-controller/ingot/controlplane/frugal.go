package controlplane

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
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

// withoutWriters leaves out of the controllers' caches who wrote which field: they ask for nothing of that, and kube-controller-manager does the same.
func withoutWriters(in any) (any, error) {
	if o, err := meta.Accessor(in); err == nil && o.GetManagedFields() != nil {
		o.SetManagedFields(nil)
	}
	return in, nil
}
