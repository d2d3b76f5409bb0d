package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IngotMachineTemplateSpec holds the template.
type IngotMachineTemplateSpec struct {
	// Template is what IngotMachines are made from.
	Template IngotMachineTemplateResource `json:"template"`
}

// IngotMachineTemplateResource is what an IngotMachine is made from.
type IngotMachineTemplateResource struct {
	// Metadata of the IngotMachine.
	// +optional
	Metadata Metadata `json:"metadata,omitempty,omitzero"`
	// Spec of the IngotMachine.
	//
	// +kubebuilder:validation:XValidation:rule="!has(self.providerID) && !has(self.serverName)",message="a template makes many machines, so it names neither a server nor a providerID"
	Spec IngotMachineSpec `json:"spec"`
}

// NodeInfo says what kind of node comes out.
//
// +kubebuilder:validation:MinProperties=1
type NodeInfo struct {
	// Architecture of the processors, as Kubernetes names it.
	// +kubebuilder:validation:Enum=amd64;arm64;s390x;ppc64le
	// +optional
	Architecture string `json:"architecture,omitempty"`
	// OperatingSystem, as Kubernetes names it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	OperatingSystem string `json:"operatingSystem,omitempty"`
}

// IngotMachineTemplateStatus is what the cluster autoscaler goes by while there is no machine yet.
type IngotMachineTemplateStatus struct {
	// Capacity that every server of the class has at least.
	// +optional
	Capacity map[string]resource.Quantity `json:"capacity,omitempty"`
	// NodeInfo of every server of the class; without an architecture where they differ.
	// +optional
	NodeInfo NodeInfo `json:"nodeInfo,omitempty,omitzero"`
	// Conditions say what is so and why.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// IngotMachineTemplate is what Cluster API makes IngotMachines from. Its spec never changes; make another one instead.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:metadata:labels="cluster.x-k8s.io/provider=infrastructure-ingot"
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:resource:path=ingotmachinetemplates,scope=Namespaced,categories=cluster-api
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.template.spec.className`
// +kubebuilder:printcolumn:name="CPU",type=string,JSONPath=`.status.capacity.cpu`
// +kubebuilder:printcolumn:name="Memory",type=string,JSONPath=`.status.capacity.memory`
// +kubebuilder:printcolumn:name="Arch",type=string,JSONPath=`.status.nodeInfo.architecture`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IngotMachineTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template.
	Spec IngotMachineTemplateSpec `json:"spec"`
	// Status is what the cluster autoscaler goes by.
	// +optional
	Status IngotMachineTemplateStatus `json:"status,omitempty"`
}

// IngotMachineTemplateList is a list of IngotMachineTemplates.
//
// +kubebuilder:object:root=true
type IngotMachineTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IngotMachineTemplate `json:"items"`
}
