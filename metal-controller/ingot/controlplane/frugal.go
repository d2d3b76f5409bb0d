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

// uncached are the resources that there are thousands of. The API server's watch cache holds custom resources as maps, some 45 kB for each Server and as much for its
// inventory. Few watch them, all in this process, and keep them as structs, so watches and lists go to etcd, which is here too. (kube-apiserver's --watch-cache-sizes is
// said to leave custom resources alone; k8s.io/apiextensions-apiserver v0.36, NewCRDRESTOptionsGetter, obeys it nevertheless, and TestFrugal would notice if that ended.)
var uncached = []string{"servers.metal.ingot.dev#0", "serverinventories.metal.ingot.dev#0"}

// catchUp is how many of raft's entries etcd keeps in memory for members that lag behind; here are none. Its default is 5,000.
const catchUp = 100

// withoutWriters leaves out of the controllers' caches who wrote which field: they ask for nothing of that, and kube-controller-manager does the same.
func withoutWriters(in any) (any, error) {
	if o, err := meta.Accessor(in); err == nil && o.GetManagedFields() != nil {
		o.SetManagedFields(nil)
	}
	return in, nil
}
