package clusterapi

import (
	"context"
	"fmt"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/compat"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi/launcher"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi/upstream"
)

// refusal asks whether the objects of a release may take the place of what is there.
func refusal(objects []*unstructured.Unstructured, own launcher.Provider) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		known, there := map[string]compat.Kind{}, map[string]compat.Kind{}
		for _, o := range objects {
			if o.GetKind() != "CustomResourceDefinition" {
				continue
			}
			var crd apiextensionsv1.CustomResourceDefinition
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &crd); err != nil {
				return fmt.Errorf("reading the CRD %s: %w", o.GetName(), err)
			}
			known[o.GetName()] = kind(&crd)
			var old apiextensionsv1.CustomResourceDefinition
			switch err := c.Get(ctx, client.ObjectKeyFromObject(o), &old); {
			case err == nil:
				there[o.GetName()] = kind(&old)
			case client.IgnoreNotFound(err) != nil:
				return fmt.Errorf("looking for the CRD %s: %w", o.GetName(), err)
			}
		}
		release, err := installed(ctx, c, own)
		if err != nil {
			return err
		}
		if why := compat.Refusal(release, own.Version, there, known); why != "" {
			return launcher.RefusedError(named(why, own.Label))
		}
		return nil
	}
}

// named says of another provider what is said of the core.
func named(why, label string) string {
	if label == upstream.Label {
		return why
	}
	return strings.ReplaceAll(why, "Cluster API ", "the provider "+label+" ")
}

func kind(crd *apiextensionsv1.CustomResourceDefinition) compat.Kind {
	k := compat.Kind{Stored: crd.Status.StoredVersions}
	for _, v := range crd.Spec.Versions {
		k.Versions = append(k.Versions, v.Name)
	}
	return k
}

// installed is the release of a provider that clusterctl's inventory names; empty without one.
func installed(ctx context.Context, c client.Client, p launcher.Provider) (string, error) {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("clusterctl.cluster.x-k8s.io/v1alpha3")
	o.SetKind("Provider")
	if err := c.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Label}, o); err != nil {
		if meta.IsNoMatchError(err) {
			return "", nil
		}
		return "", client.IgnoreNotFound(err)
	}
	v, _, _ := unstructured.NestedString(o.Object, "version")
	return v, nil
}
