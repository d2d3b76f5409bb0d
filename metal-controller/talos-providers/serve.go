package main

import (
	"context"
	"fmt"
	"net/netip"

	bootstrapold "github.com/siderolabs/cluster-api-bootstrap-provider-talos/api/v1alpha2"
	bootstrap "github.com/siderolabs/cluster-api-bootstrap-provider-talos/api/v1alpha3"
	cabpt "github.com/siderolabs/cluster-api-bootstrap-provider-talos/controllers"
	controlplane "github.com/siderolabs/cluster-api-control-plane-provider-talos/api/v1alpha3"
	cacppt "github.com/siderolabs/cluster-api-control-plane-provider-talos/controllers"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	clientgo "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	clusterv1 "sigs.k8s.io/cluster-api/api/v1beta1"
	"sigs.k8s.io/cluster-api/controllers/remote"
	expv1 "sigs.k8s.io/cluster-api/exp/api/v1beta1"
	"sigs.k8s.io/cluster-api/feature"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// workers is how many objects of a kind are worked on at once: what the providers' own programs do.
const workers = 10

// uncached are read from API servers each time, as the providers' own programs do.
func uncached() []client.Object {
	return []client.Object{&corev1.ConfigMap{}, &corev1.Secret{}}
}

// serve runs the controllers and webhooks of both until ctx ends, which is no error. One that fails ends the other.
func serve(ctx context.Context, atBootstrap, atControlPlane place) error {
	ctrl.SetLogger(klog.Background())
	// As their releases have it: their rights know no machine pools.
	if err := feature.MutableGates.SetFromMap(map[string]bool{string(feature.MachinePool): false}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range []struct {
		name string
		at   place
		add  func(context.Context, ctrl.Manager) error
	}{{bootstrapName, atBootstrap, addBootstrap}, {controlPlaneName, atControlPlane, addControlPlane}} {
		mgr, err := manager(p.at)
		if err != nil {
			return fmt.Errorf("setting up the provider %s: %w", p.name, err)
		}
		if err := p.add(ctx, mgr); err != nil {
			return fmt.Errorf("setting up the provider %s: %w", p.name, err)
		}
		g.Go(func() error {
			if err := mgr.Start(ctx); err != nil {
				return fmt.Errorf("running the provider %s: %w", p.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// manager has the caches of the providers' own programs: Secrets only as far as they belong to clusters, and those only for connections to these. It elects no
// leader: whoever starts it starts one.
func manager(at place) (ctrl.Manager, error) {
	config, err := clientcmd.BuildConfigFromFlags("", at.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	address, err := netip.ParseAddrPort(at.webhook)
	if err != nil {
		return nil, fmt.Errorf("reading the address of webhooks: %w", err)
	}
	scheme, err := kinds()
	if err != nil {
		return nil, err
	}
	ofClusters, err := labels.NewRequirement(clusterv1.ClusterNameLabel, selection.Exists, nil)
	if err != nil {
		return nil, err
	}
	return ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: metrics.Options{BindAddress: "0"},
		Cache:         cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: {Label: labels.NewSelector().Add(*ofClusters)}}},
		Client:        client.Options{Cache: &client.CacheOptions{DisableFor: uncached()}},
		WebhookServer: webhook.NewServer(webhook.Options{Host: address.Addr().String(), Port: int(address.Port()), CertDir: at.certs}),
	})
}

// kinds are what both read and write, and the older version that the API server lets the bootstrap provider convert: its webhook for that is served only for it.
func kinds() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgo.AddToScheme, clusterv1.AddToScheme, expv1.AddToScheme, bootstrapold.AddToScheme, bootstrap.AddToScheme, controlplane.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// addBootstrap adds what makes machine configs.
func addBootstrap(ctx context.Context, mgr ctrl.Manager) error {
	r := &cabpt.TalosConfigReconciler{Client: mgr.GetClient(), Log: ctrl.Log.WithName("TalosConfig"), Scheme: mgr.GetScheme()}
	if err := r.SetupWithManager(ctx, mgr, controller.Options{MaxConcurrentReconciles: workers}); err != nil {
		return fmt.Errorf("adding its controller: %w", err)
	}
	if err := (&bootstrap.TalosConfigTemplate{}).SetupWebhookWithManager(mgr); err != nil {
		return fmt.Errorf("adding the webhook of TalosConfigTemplate: %w", err)
	}
	if err := (&bootstrap.TalosConfig{}).SetupWebhookWithManager(mgr); err != nil {
		return fmt.Errorf("adding the webhook of TalosConfig: %w", err)
	}
	return nil
}

// addControlPlane adds what keeps control planes, with its connections to the clusters' own API servers.
func addControlPlane(ctx context.Context, mgr ctrl.Manager) error {
	tracker, err := connections(ctx, mgr)
	if err != nil {
		return fmt.Errorf("adding connections to clusters: %w", err)
	}
	r := &cacppt.TalosControlPlaneReconciler{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Log: ctrl.Log.WithName("TalosControlPlane"), Scheme: mgr.GetScheme(), Tracker: tracker,
	}
	if err := r.SetupWithManager(mgr, controller.Options{MaxConcurrentReconciles: workers}); err != nil {
		return fmt.Errorf("adding its controller: %w", err)
	}
	if err := (&controlplane.TalosControlPlane{}).SetupWebhookWithManager(mgr); err != nil {
		return fmt.Errorf("adding the webhook of TalosControlPlane: %w", err)
	}
	return nil
}

func connections(ctx context.Context, mgr ctrl.Manager) (*remote.ClusterCacheTracker, error) {
	secrets, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Cache: &client.CacheOptions{Reader: mgr.GetCache()}})
	if err != nil {
		return nil, err
	}
	log := ctrl.Log.WithName("connections")
	tracker, err := remote.NewClusterCacheTracker(mgr, remote.ClusterCacheTrackerOptions{
		SecretCachingClient: secrets, ControllerName: "cacppt", Log: &log,
		ClientUncachedObjects: append(uncached(), &corev1.Pod{}, &appsv1.Deployment{}, &appsv1.DaemonSet{}),
	})
	if err != nil {
		return nil, err
	}
	r := &remote.ClusterCacheReconciler{Client: mgr.GetClient(), Tracker: tracker}
	return tracker, r.SetupWithManager(ctx, mgr, controller.Options{MaxConcurrentReconciles: workers})
}
