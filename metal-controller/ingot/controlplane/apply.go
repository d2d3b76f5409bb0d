package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	fieldOwner = "ingot"
	// manifestsCheck is the part of /readyz that waits for what every start applies.
	manifestsCheck = "ingot-manifests"
	pollEvery      = 25 * time.Millisecond
)

// manifestsReady is false until every object is applied and every CRD is served; /readyz includes it.
type manifestsReady struct{ atomic.Bool }

func (m *manifestsReady) check() healthz.HealthChecker {
	return healthz.NamedCheck(manifestsCheck, func(*http.Request) error {
		if !m.Load() {
			return fmt.Errorf("Ingot's CRDs and policies are not applied yet")
		}
		return nil
	})
}

// waitServing waits until everything in /readyz but our own check is good.
func waitServing(ctx context.Context, loopback *rest.Config) error {
	c, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return fmt.Errorf("creating client for readiness: %w", err)
	}
	return poll(ctx, func(ctx context.Context) bool {
		return c.Discovery().RESTClient().Get().AbsPath("/readyz").Param("exclude", manifestsCheck).Do(ctx).Error() == nil
	})
}

// poll asks until the answer is yes or ctx ends.
func poll(ctx context.Context, done func(context.Context) bool) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
	return nil
}

// applyAll brings the API server's own objects to what this build wants.
func applyAll(ctx context.Context, loopback *rest.Config) error {
	all, err := objects()
	if err != nil {
		return fmt.Errorf("reading embedded manifests: %w", err)
	}
	return Apply(ctx, loopback, all)
}

// Apply brings objects to what they say, in their order, by server-side apply: what others added to them stays. It returns when the API server serves every CRD among
// them.
func Apply(ctx context.Context, cfg *rest.Config, all []*unstructured.Unstructured) error {
	cfg = rest.CopyConfig(cfg)
	cfg.ContentType = ""
	cfg.QPS = -1 // the API server is in this process
	scheme := runtime.NewScheme()
	if err := apiextensions.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("creating client for manifests: %w", err)
	}
	for _, o := range all {
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(fieldOwner), client.ForceOwnership); err != nil {
			return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return waitEstablished(ctx, c, all)
}

// waitEstablished waits until the API server serves every CRD among the objects.
func waitEstablished(ctx context.Context, c client.Client, all []*unstructured.Unstructured) error {
	for _, o := range all {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		err := poll(ctx, func(ctx context.Context) bool {
			var crd apiextensions.CustomResourceDefinition
			return c.Get(ctx, client.ObjectKey{Name: o.GetName()}, &crd) == nil && established(&crd)
		})
		if err != nil {
			return fmt.Errorf("waiting for %s to be served: %w", o.GetName(), err)
		}
	}
	return nil
}

func established(crd *apiextensions.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensions.Established {
			return c.Status == apiextensions.ConditionTrue
		}
	}
	return false
}
