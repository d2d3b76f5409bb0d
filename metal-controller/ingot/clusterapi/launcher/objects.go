package launcher

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/certificates"
)

// withAuthority is a copy of objects in the order in which they are applied, with the authority of webhooks where they ask for one: else the API server could not call
// them until the controller of certificates has been there. Configurations of webhooks come before the CRDs, so that nothing is written that they did not see.
func withAuthority(objects []*unstructured.Unstructured, bundle []byte) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, o := range objects {
		o = o.DeepCopy()
		if o.GetAnnotations()[certificates.InjectFrom] != "" {
			if err := inject(o, base64.StdEncoding.EncodeToString(bundle)); err != nil {
				return nil, fmt.Errorf("putting the authority of webhooks into %s %s: %w", o.GetKind(), o.GetName(), err)
			}
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return out, nil
}

// rank orders kinds: what others need comes first.
func rank(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case "Namespace":
		return 0
	case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		return 1
	case "CustomResourceDefinition":
		return 2
	}
	return 3
}

func inject(o *unstructured.Unstructured, bundle string) error {
	if o.GetKind() == "CustomResourceDefinition" {
		return unstructured.SetNestedField(o.Object, bundle, "spec", "conversion", "webhook", "clientConfig", "caBundle")
	}
	hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, h := range hooks {
		if m, ok := h.(map[string]any); ok {
			if err := unstructured.SetNestedField(m, bundle, "clientConfig", "caBundle"); err != nil {
				return err
			}
		}
	}
	return unstructured.SetNestedSlice(o.Object, hooks, "webhooks")
}

// fresh says whether a place has a certificate that need not be renewed yet.
func fresh(p Place, bundle []byte, now time.Time) bool {
	cert, certErr := os.ReadFile(filepath.Join(p.CertDir, certFile))
	key, keyErr := os.ReadFile(filepath.Join(p.CertDir, keyFile))
	return certErr == nil && keyErr == nil && now.Before(certificates.Renewal(cert, key, []string{p.name}, bundle))
}
