package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "infrastructure.cluster.x-k8s.io", Version: "v1alpha1"}

// MachineFinalizer keeps an IngotMachine until its server is given back.
const MachineFinalizer = "infrastructure.cluster.x-k8s.io/ingotmachine"

// ProviderIDPrefix stands before the name of the Server in a providerID.
const ProviderIDPrefix = "ingot://"

// DefaultFailureDomainKey is the label of Servers whose values are failure domains, unless an IngotCluster names another one.
const DefaultFailureDomainKey = "topology.kubernetes.io/zone"

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&IngotCluster{}, &IngotClusterList{},
		&IngotClusterTemplate{}, &IngotClusterTemplateList{},
		&IngotMachine{}, &IngotMachineList{},
		&IngotMachineTemplate{}, &IngotMachineTemplateList{},
		&IngotRemediation{}, &IngotRemediationList{},
		&IngotRemediationTemplate{}, &IngotRemediationTemplateList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
