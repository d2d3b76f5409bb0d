// Package core runs the controllers and webhooks of Cluster API's core in this process, from its public packages. Layer 4, wiring.
//
// What its own program does besides is left to Ingot: flags, logs, leader election (there is one process), metrics, and the rights, which are those of its
// ServiceAccount. The Runtime SDK and in-place updates are not there: Cluster API keeps their client to itself.
package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	addonsv1beta1 "sigs.k8s.io/cluster-api/api/addons/v1beta1"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1alpha1 "sigs.k8s.io/cluster-api/api/ipam/v1alpha1"
	ipamv1beta1 "sigs.k8s.io/cluster-api/api/ipam/v1beta1"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
	runtimev1alpha1 "sigs.k8s.io/cluster-api/api/runtime/v1alpha1"
	runtimev1 "sigs.k8s.io/cluster-api/api/runtime/v1beta2"
	"sigs.k8s.io/cluster-api/core/setup"
	"sigs.k8s.io/cluster-api/feature"
	"sigs.k8s.io/cluster-api/util/apiwarnings"
	"sigs.k8s.io/cluster-api/util/index"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/launcher"
)

const (
	// syncPeriod is how often everything is looked at again without a reason; Cluster API's default.
	syncPeriod = 10 * time.Minute
	// cacheSync is how long the caches may take to fill; Cluster API's value.
	cacheSync = 5 * time.Minute
	// queries per second, and in one burst, to the API server in the same process; Cluster API's defaults.
	queries, burst = 100, 200
)

// gates are the features of Cluster API that are on besides its defaults: ClusterClasses.
var gates = map[string]bool{string(feature.ClusterTopology): true}

// Run runs the core at a place until ctx ends, and calls ready once its webhooks answer and its caches are full. n counts the runs in this process: libraries
// take each name once.
func Run(ctx context.Context, place launcher.Place, n int, ready func()) error {
	if err := feature.MutableGates.SetFromMap(gates); err != nil {
		return fmt.Errorf("switching on features of Cluster API: %w", err)
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	m, err := newManager(place, scheme, fmt.Sprintf("cluster-api-core-%d", n))
	if err != nil {
		return fmt.Errorf("making Cluster API's manager: %w", err)
	}
	if err := index.AddDefaultIndexes(ctx, m); err != nil {
		return fmt.Errorf("adding Cluster API's indexes: %w", err)
	}
	clusters, err := addControllers(ctx, m)
	if err != nil {
		return err
	}
	if err := addWebhooks(m, clusters); err != nil {
		return err
	}
	go func() {
		select {
		case <-m.Elected(): // without leader election: once webhooks and caches are there
			ready()
		case <-ctx.Done():
		}
	}()
	return m.Start(ctx)
}

// newScheme knows the kinds that the core reads and writes.
func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	var errs []error
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, storagev1.AddToScheme, corev1.AddToScheme,
		clusterv1beta1.AddToScheme, clusterv1.AddToScheme, addonsv1beta1.AddToScheme, addonsv1.AddToScheme,
		runtimev1alpha1.AddToScheme, runtimev1.AddToScheme, ipamv1alpha1.AddToScheme, ipamv1beta1.AddToScheme, ipamv1.AddToScheme,
	} {
		errs = append(errs, add(s))
	}
	return s, errors.Join(errs...)
}

func newManager(place launcher.Place, scheme *runtime.Scheme, name string) (ctrl.Manager, error) {
	cfg := rest.CopyConfig(place.REST)
	cfg.QPS, cfg.Burst, cfg.UserAgent = queries, burst, name
	cfg.WarningHandler = apiwarnings.DefaultHandler(klog.Background().WithName("Cluster API"))
	queue, again := feature.Gates.Enabled(feature.PriorityQueue), true
	return ctrl.NewManager(cfg, ctrl.Options{
		Scheme:     scheme,
		Logger:     klog.Background().WithName("cluster-api"),
		Controller: config.Controller{UsePriorityQueue: &queue, CacheSyncTimeout: cacheSync, SkipNameValidation: &again},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      setup.ManagerCacheOptions(scheme, name, "", syncPeriod),
		Client:     setup.ManagerClientOptions(),
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: place.Address.Addr().String(), Port: int(place.Address.Port()), CertDir: place.CertDir,
		}),
	})
}
