package core

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	"sigs.k8s.io/cluster-api/controllers/crdmigrator"
	"sigs.k8s.io/cluster-api/core/reconcilers/cluster"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterclass"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourceset"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourcesetbinding"
	"sigs.k8s.io/cluster-api/core/reconcilers/machine"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinedeployment"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinehealthcheck"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinepool"
	"sigs.k8s.io/cluster-api/core/reconcilers/machineset"
	topologycluster "sigs.k8s.io/cluster-api/core/reconcilers/topology/cluster"
	topologymachinedeployment "sigs.k8s.io/cluster-api/core/reconcilers/topology/machinedeployment"
	topologymachineset "sigs.k8s.io/cluster-api/core/reconcilers/topology/machineset"
	"sigs.k8s.io/cluster-api/core/setup"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
)

// How long a workload cluster may be out of reach before its Cluster, and what is known of its Nodes, says so; Cluster API's defaults.
const (
	connectionGrace = 50 * time.Second
	conditionsGrace = 5 * time.Minute
)

// workers is how many objects of a kind are reconciled at a time: a lab or a site, and not the hundreds of clusters that Cluster API's own defaults are for.
const workers = 10

// Queries to a workload cluster; Cluster API's defaults.
const workloadQueries, workloadBurst = 20, 30

// reconciler is a controller as Cluster API's packages have it.
type reconciler interface {
	SetupWithManager(ctx context.Context, m ctrl.Manager, o controller.Options) error
}

// addControllers adds all controllers of the core.
func addControllers(ctx context.Context, m ctrl.Manager) (clustercache.ClusterCache, error) {
	secrets, err := setup.CreateSecretCachingClient(m)
	if err != nil {
		return nil, fmt.Errorf("making Cluster API's client for Secrets: %w", err)
	}
	clusters, err := clustercache.SetupWithManager(ctx, m, clustercache.Options{
		SecretClient: secrets, Cache: setup.ClusterCacheCacheOptions(),
		Client: setup.ClusterCacheClientOptions("cluster-api-core", workloadQueries, workloadBurst),
	}, options(workers))
	if err != nil {
		return nil, fmt.Errorf("making Cluster API's connections to workload clusters: %w", err)
	}
	for _, r := range reconcilers(m, clusters) {
		if err := r.SetupWithManager(ctx, m, options(workers)); err != nil {
			return nil, fmt.Errorf("adding %T of Cluster API: %w", r, err)
		}
	}
	if err := migrator(m).SetupWithManager(ctx, m, options(1)); err != nil { // one object at a time: it may touch all of them
		return nil, fmt.Errorf("adding Cluster API's migration of stored objects: %w", err)
	}
	return clusters, addResourceSets(ctx, m, clusters)
}

func options(concurrent int) controller.Options {
	return controller.Options{MaxConcurrentReconciles: concurrent}
}

func reconcilers(m ctrl.Manager, clusters clustercache.ClusterCache) []reconciler {
	c, reader := m.GetClient(), m.GetAPIReader()
	return []reconciler{
		&clusterclass.Reconciler{Client: c},
		&topologycluster.Reconciler{Client: c, APIReader: reader, ClusterCache: clusters},
		&topologymachinedeployment.Reconciler{Client: c, APIReader: reader},
		&topologymachineset.Reconciler{Client: c, APIReader: reader},
		&cluster.Reconciler{Client: c, APIReader: reader, ClusterCache: clusters, RemoteConnectionGracePeriod: connectionGrace},
		&machine.Reconciler{Client: c, APIReader: reader, ClusterCache: clusters, RemoteConditionsGracePeriod: conditionsGrace},
		&machineset.Reconciler{Client: c, APIReader: reader, ClusterCache: clusters, PreflightChecks: sets.New(clusterv1.MachineSetPreflightCheckAll)},
		&machinedeployment.Reconciler{Client: c, APIReader: reader},
		&machinepool.Reconciler{Client: c, APIReader: reader, ClusterCache: clusters},
		&clusterresourcesetbinding.Reconciler{Client: c},
		&machinehealthcheck.Reconciler{Client: c, ClusterCache: clusters},
	}
}

// migrator rewrites objects that are stored in a version that the CRDs are about to lose. The kinds are those that the core's role lets it migrate.
func migrator(m ctrl.Manager) *crdmigrator.CRDMigrator {
	plain, status := crdmigrator.ByObjectConfig{}, crdmigrator.ByObjectConfig{UseStatusForStorageVersionMigration: true}
	return &crdmigrator.CRDMigrator{Client: m.GetClient(), APIReader: m.GetAPIReader(), Config: map[client.Object]crdmigrator.ByObjectConfig{
		&addonsv1.ClusterResourceSetBinding{}: plain, &addonsv1.ClusterResourceSet{}: status,
		&clusterv1.Cluster{}: status, &clusterv1.ClusterClass{}: status,
		&clusterv1.Machine{}: status, &clusterv1.MachineSet{}: status, &clusterv1.MachineDeployment{}: status, &clusterv1.MachinePool{}: status,
		&clusterv1.MachineDrainRule{}: plain, &clusterv1.MachineHealthCheck{}: status,
		&ipamv1.IPAddress{}: plain, &ipamv1.IPAddressClaim{}: status,
	}}
}

// addResourceSets adds the controller that watches all Secrets, of which it gets the metadata only.
func addResourceSets(ctx context.Context, m ctrl.Manager, clusters clustercache.ClusterCache) error {
	period := syncPeriod
	names, err := cache.New(m.GetConfig(), cache.Options{
		Scheme: m.GetScheme(), Mapper: m.GetRESTMapper(), HTTPClient: m.GetHTTPClient(), SyncPeriod: &period, DefaultTransform: metadataOnly,
	})
	if err != nil {
		return fmt.Errorf("making Cluster API's cache of Secrets' names: %w", err)
	}
	if err := m.Add(names); err != nil {
		return fmt.Errorf("adding Cluster API's cache of Secrets' names: %w", err)
	}
	r := &clusterresourceset.Reconciler{Client: m.GetClient(), ClusterCache: clusters}
	if err := r.SetupWithManager(ctx, m, options(workers), names); err != nil {
		return fmt.Errorf("adding %T of Cluster API: %w", r, err)
	}
	return nil
}

// metadataOnly keeps anything but Secrets' metadata out of a cache.
func metadataOnly(o any) (any, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok || m.GroupVersionKind() != corev1.SchemeGroupVersion.WithKind("Secret") {
		return nil, fmt.Errorf("%T is no Secret's metadata", o)
	}
	m.ManagedFields = nil
	return m, nil
}
