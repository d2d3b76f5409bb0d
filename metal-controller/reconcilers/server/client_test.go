package server_test

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func newClient(t *testing.T, cfg *rest.Config) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stopAfter ends its caller after the first write of status.
type stopAfter struct {
	client.WithWatch
	stop context.CancelFunc
}

// Status writes status.
func (c stopAfter) Status() client.SubResourceWriter { return stopWriter{c.WithWatch.Status(), c.stop} }

type stopWriter struct {
	client.SubResourceWriter
	stop context.CancelFunc
}

// Patch writes, then ends the caller.
func (w stopWriter) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	defer w.stop()
	return w.SubResourceWriter.Patch(ctx, o, p, opts...)
}
