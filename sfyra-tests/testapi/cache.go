package testapi

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Cache is a manager's cache, filled with what index makes it find and with the rights of the controllers. It ends with the test.
func Cache(t testing.TB, scheme *runtime.Scheme, index func(context.Context, client.FieldIndexer) error) cache.Cache {
	t.Helper()
	cached, err := cache.New(Config(t).ControllerConfig, cache.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	if err := index(t.Context(), cached); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cached.Start(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	if !cached.WaitForCacheSync(ctx) {
		t.Fatal("the cache is not filled")
	}
	return cached
}
