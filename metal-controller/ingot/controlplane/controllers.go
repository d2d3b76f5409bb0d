package controlplane

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	tokens "k8s.io/kubernetes/pkg/serviceaccount"
)

const (
	resync = 10 * time.Minute
	// collectorResync is how soon the garbage collector knows a new CRD; kube-controller-manager takes 30 s.
	collectorResync = 5 * time.Second
)

// controllers are the few of kube-controller-manager that an API without nodes needs: they clean up (garbage collector, namespaces), hand out
// service accounts and their tokens, and put aggregated roles together.
type controllers struct {
	client   kubernetes.Interface
	metadata metadata.Interface
	shared   informers.SharedInformerFactory
	metaOnly metadatainformer.SharedInformerFactory
	run      []func(context.Context)
}

// startControllers runs them until ctx ends; the returned function waits for their end.
func startControllers(ctx context.Context, loopback *rest.Config, signerFile string, rootCA []byte) (func(), error) {
	c, err := newControllers(loopback)
	if err != nil {
		return nil, err
	}
	c.addRoles()
	c.addNamespaces(ctx)
	if err := c.addServiceAccounts(ctx); err != nil {
		return nil, fmt.Errorf("creating service account controller: %w", err)
	}
	if err := c.addTokens(ctx, signerFile, rootCA); err != nil {
		return nil, fmt.Errorf("creating token controller: %w", err)
	}
	started := make(chan struct{})
	if err := c.addCollector(ctx, started); err != nil {
		return nil, fmt.Errorf("creating garbage collector: %w", err)
	}
	c.shared.Start(ctx.Done())
	c.metaOnly.Start(ctx.Done())
	close(started)
	return c.start(ctx), nil
}

func newControllers(loopback *rest.Config) (*controllers, error) {
	cfg := rest.CopyConfig(loopback)
	cfg.QPS, cfg.Burst = 200, 400
	cfg.ContentType = "" // custom resources have no protobuf
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("creating client for controllers: %w", err)
	}
	meta, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("creating metadata client for controllers: %w", err)
	}
	return &controllers{
		client: client, metadata: meta,
		shared:   informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTransform(withoutWriters)),
		metaOnly: metadatainformer.NewSharedInformerFactoryWithOptions(meta, resync, metadatainformer.WithTransform(withoutWriters)),
	}, nil
}

// start runs all that was added.
func (c *controllers) start(ctx context.Context) func() {
	var wg sync.WaitGroup
	for _, run := range c.run {
		wg.Go(func() { run(ctx) })
	}
	return func() {
		wg.Wait()
		c.shared.Shutdown()
		c.metaOnly.Shutdown()
	}
}

func (c *controllers) addRoles() {
	r := clusterroleaggregation.NewClusterRoleAggregation(c.shared.Rbac().V1().ClusterRoles(), c.client.RbacV1())
	c.run = append(c.run, func(ctx context.Context) { r.Run(ctx, 2) })
}

func (c *controllers) addNamespaces(ctx context.Context) {
	n := namespace.NewNamespaceController(ctx, c.client, c.metadata, c.client.Discovery().ServerPreferredNamespacedResources,
		c.shared.Core().V1().Namespaces(), 5*time.Minute, corev1.FinalizerKubernetes)
	c.run = append(c.run, func(ctx context.Context) { n.Run(ctx, 5) })
}

func (c *controllers) addServiceAccounts(ctx context.Context) error {
	core := c.shared.Core().V1()
	s, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), c.client,
		serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	c.run = append(c.run, func(ctx context.Context) { s.Run(ctx, 1) })
	return nil
}

func (c *controllers) addTokens(ctx context.Context, signerFile string, rootCA []byte) error {
	key, err := keyutil.PrivateKeyFromFile(signerFile)
	if err != nil {
		return err
	}
	generator, err := tokens.JWTTokenGenerator(tokens.LegacyIssuer, key)
	if err != nil {
		return err
	}
	core := c.shared.Core().V1()
	t, err := serviceaccount.NewTokensController(klog.FromContext(ctx), core.ServiceAccounts(), core.Secrets(), c.client,
		serviceaccount.TokensControllerOptions{TokenGenerator: generator, RootCA: rootCA})
	if err != nil {
		return err
	}
	c.run = append(c.run, func(ctx context.Context) { t.Run(ctx, 2) })
	return nil
}

// addCollector leaves events alone: they have no owners and end by their age.
func (c *controllers) addCollector(ctx context.Context, started chan struct{}) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	ignored := map[schema.GroupResource]struct{}{{Resource: "events"}: {}, {Group: "events.k8s.io", Resource: "events"}: {}}
	g, err := garbagecollector.NewGarbageCollector(ctx, c.client, c.metadata, mapper, ignored,
		informerfactory.NewInformerFactory(c.shared, c.metaOnly), started)
	if err != nil {
		return err
	}
	c.run = append(c.run,
		func(ctx context.Context) { g.Run(ctx, 5, 30*time.Second) },
		func(ctx context.Context) { g.Sync(ctx, c.client.Discovery(), collectorResync) })
	return nil
}
