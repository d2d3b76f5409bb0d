package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// APIEndpoint is where a Kubernetes API is reached.
//
// +kubebuilder:validation:MinProperties=1
type APIEndpoint struct {
	// Host is a name or an address.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Host string `json:"host,omitempty"`
	// Port is a TCP port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
}

// IngotClusterSpec is what the machines of one cluster have in common.
type IngotClusterSpec struct {
	// ControlPlaneEndpoint is where the cluster's API is to be reached: a name in the DNS, a load balancer, or an address that the control planes share. Ingot
	// makes none of these; Cluster API takes the endpoint over from here, unless the Cluster has one already.
	// +optional
	ControlPlaneEndpoint APIEndpoint `json:"controlPlaneEndpoint,omitempty,omitzero"`
	// FailureDomainKey is the label of Servers whose values are the failure domains that a Machine's `failureDomain` speaks of.
	// +kubebuilder:default="topology.kubernetes.io/zone"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +optional
	FailureDomainKey string `json:"failureDomainKey,omitempty"`
	// ControlPlaneSpread says how the control planes are spread over servers. A Machine that names its failure domain goes there instead.
	// +optional
	ControlPlaneSpread *metal.Spread `json:"controlPlaneSpread,omitempty"`
}

// IngotClusterStatus says how the infrastructure of a cluster fares.
type IngotClusterStatus struct {
	// Initialization is what Cluster API waits for.
	// +optional
	Initialization InitializationStatus `json:"initialization,omitempty,omitzero"`
	// Conditions say what is so, why, and what is waited for.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// IngotCluster is the infrastructure of a Cluster API Cluster: where its API is reached, and how its machines are spread.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:metadata:labels="cluster.x-k8s.io/provider=infrastructure-ingot"
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:resource:path=ingotclusters,scope=Namespaced,categories=cluster-api
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels['cluster\.x-k8s\.io/cluster-name']`
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.spec.controlPlaneEndpoint.host`
// +kubebuilder:printcolumn:name="Provisioned",type=boolean,JSONPath=`.status.initialization.provisioned`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IngotCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	// +optional
	Spec IngotClusterSpec `json:"spec,omitempty"`
	// Status is what was observed.
	// +optional
	Status IngotClusterStatus `json:"status,omitempty"`
}

// DomainKey is the label of Servers whose values are the cluster's failure domains; a nil cluster has the default one.
func (c *IngotCluster) DomainKey() string {
	if c == nil || c.Spec.FailureDomainKey == "" {
		return DefaultFailureDomainKey
	}
	return c.Spec.FailureDomainKey
}

// IngotClusterList is a list of IngotClusters.
//
// +kubebuilder:object:root=true
type IngotClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IngotCluster `json:"items"`
}

// IngotClusterTemplateSpec holds the template.
type IngotClusterTemplateSpec struct {
	// Template is what IngotClusters are made from.
	Template IngotClusterTemplateResource `json:"template"`
}

// IngotClusterTemplateResource is what an IngotCluster is made from.
type IngotClusterTemplateResource struct {
	// Metadata of the IngotCluster.
	// +optional
	Metadata Metadata `json:"metadata,omitempty,omitzero"`
	// Spec of the IngotCluster.
	Spec IngotClusterSpec `json:"spec"`
}

// IngotClusterTemplate is what a ClusterClass makes IngotClusters from. It never changes; make another one instead.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:metadata:labels="cluster.x-k8s.io/provider=infrastructure-ingot"
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:resource:path=ingotclustertemplates,scope=Namespaced,categories=cluster-api
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IngotClusterTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template.
	Spec IngotClusterTemplateSpec `json:"spec"`
}

// IngotClusterTemplateList is a list of IngotClusterTemplates.
//
// +kubebuilder:object:root=true
type IngotClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IngotClusterTemplate `json:"items"`
}
