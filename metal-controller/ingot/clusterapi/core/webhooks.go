package core

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/core/webhooks/admission"
	"sigs.k8s.io/cluster-api/core/webhooks/conversion"
	"sigs.k8s.io/cluster-api/util/contract"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// contracts are those that this release of Cluster API accepts, the preferred one first.
var contracts = []string{"v1beta2", "v1beta1"}

// hook is a webhook as Cluster API's packages have it.
type hook interface {
	SetupWebhookWithManager(m ctrl.Manager) error
}

// addWebhooks adds all webhooks of the core, for admission and for conversion.
func addWebhooks(m ctrl.Manager, clusters admission.ClusterCacheReader) error {
	c := m.GetClient()
	conversion.SetAPIVersionGetter(func(ctx context.Context, gk schema.GroupKind) (string, error) { return apiVersion(ctx, c, gk) })
	for _, h := range []hook{
		&admission.ClusterClass{Client: c}, &admission.Cluster{Client: c, ClusterCacheReader: clusters},
		&admission.Machine{}, &admission.MachineSet{}, &admission.MachineDeployment{}, &admission.MachinePool{},
		&admission.MachineDrainRule{}, &admission.MachineHealthCheck{},
		&admission.ClusterResourceSet{}, &admission.ClusterResourceSetBinding{}, &admission.ExtensionConfig{},
		&admission.IPAddress{Client: m.GetAPIReader()}, // uncached: else all IPAddressClaims would be
		&admission.IPAddressClaim{},
	} {
		if err := h.SetupWebhookWithManager(m); err != nil {
			return fmt.Errorf("adding %T of Cluster API: %w", h, err)
		}
	}
	return nil
}

// apiVersion is what references of old objects, which had a version, become: the newest version of the kind that follows a contract, by the labels of its CRD
// (Cluster API's book, provider contracts, "API version labels").
func apiVersion(ctx context.Context, c client.Reader, gk schema.GroupKind) (string, error) {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	if err := c.Get(ctx, client.ObjectKey{Name: contract.CalculateCRDName(gk.Group, gk.Kind)}, crd); err != nil {
		return "", fmt.Errorf("looking for the CRD of %s: %w", gk, err)
	}
	v, ok := newest(crd.Labels)
	if !ok {
		return "", fmt.Errorf("the CRD of %s has no label of a contract (%s)", gk, strings.Join(contracts, ", "))
	}
	return schema.GroupVersion{Group: gk.Group, Version: v}.String(), nil
}

// newest is the newest version that follows the preferred contract among those that a CRD's labels name.
func newest(labels map[string]string) (string, bool) {
	for _, c := range contracts {
		if text := labels[clusterv1.GroupVersion.Group+"/"+c]; text != "" {
			return slices.MaxFunc(strings.Split(text, "_"), version.CompareKubeAwareVersionStrings), true
		}
	}
	return "", false
}
