// Package certificates does what providers of Cluster API have cert-manager for: it keeps the certificates of webhooks in Secrets, renews them, and puts their
// authority into the CRDs and webhook configurations that ask for it. Layer 4, wiring.
//
// Invariants: a Certificate gets names of Services in its own namespace and no others, else whoever may write Certificates there could pass for a webhook; a Secret that
// is not the Certificate's own is not overwritten; an authority of webhooks signs, which is good for nothing else.
package certificates

import (
	"context"
	"embed"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/crds/manifests"
)

// Authority signs certificates of webhooks.
type Authority interface {
	// Bundle is what the API server verifies them with, in PEM.
	Bundle() []byte
	// Serving is a certificate with its key, in PEM.
	Serving(names []string, now time.Time, life time.Duration) (cert, key []byte, err error)
}

var group = schema.GroupVersion{Group: "cert-manager.io", Version: "v1"}

//go:embed crds.yaml
var files embed.FS

// CRDs are the kinds that must be served before Add: those of them that are missing, or are Ingot's own.
func CRDs(ctx context.Context, c client.Reader) ([]*unstructured.Unstructured, error) {
	all, err := manifests.Read(files, "crds.yaml")
	if err != nil {
		return nil, err
	}
	var ours []*unstructured.Unstructured
	for _, o := range all {
		there := &metav1.PartialObjectMetadata{}
		there.SetGroupVersionKind(o.GroupVersionKind())
		err := c.Get(ctx, client.ObjectKeyFromObject(o), there)
		if err := client.IgnoreNotFound(err); err != nil {
			return nil, fmt.Errorf("looking for the CRD %s: %w", o.GetName(), err)
		}
		if errors.IsNotFound(err) || there.Labels[managedBy] == o.GetLabels()[managedBy] {
			ours = append(ours, o)
		}
	}
	return ours, nil
}

const managedBy = "app.kubernetes.io/managed-by"

// Add adds the controllers to a manager.
func Add(m ctrl.Manager, a Authority, now func() time.Time) error {
	if err := (&keeper{client: m.GetClient(), authority: a, now: now}).add(m); err != nil {
		return fmt.Errorf("adding the controller of certificates: %w", err)
	}
	if err := addInjectors(m, a); err != nil {
		return fmt.Errorf("adding the controllers of webhooks' authorities: %w", err)
	}
	return nil
}

func certificate() *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(group.WithKind("Certificate"))
	return o
}
