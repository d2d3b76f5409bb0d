package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// IngotMachineSpec is the server that is wanted. Nothing of it changes but providerID, which Ingot writes: another server is another machine. The rules for that
// stand at IngotMachine, since a dry run may change the spec in a template.
type IngotMachineSpec struct {
	// ProviderID is what the Node of the machine is known by, `ingot://SERVER`. Written by Ingot, once a server is bound.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +optional
	ProviderID string `json:"providerID,omitempty"`
	// ClassName names the ServerClass to take a server from.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClassName string `json:"className"`
	// ServerName, when set, asks for that very server; it must fit the class. Templates cannot have it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ServerName string `json:"serverName,omitempty"`
	// EnvironmentName, when set, asks for that Environment; the class must allow it. Default: the Server's, then the class's.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	EnvironmentName string `json:"environmentName,omitempty"`
	// Patches are strategic merge patches (YAML) for the machine config; they apply after the class and before the Server.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=65536
	// +listType=atomic
	// +optional
	Patches []string `json:"patches,omitempty"`
	// InstallDisk chooses the disk that Talos is installed on; it takes the place of the class's.
	// +optional
	InstallDisk *metal.InstallDisk `json:"installDisk,omitempty"`
	// Reuse lets the machine that replaces this one have its server without a wipe, where the ServerClass says SameOwner as well: data disks keep what is on them.
	// +optional
	Reuse bool `json:"reuse,omitempty"`
}

// MachineAddress is one address of a machine.
type MachineAddress struct {
	// Type is Hostname, ExternalIP, InternalIP, ExternalDNS or InternalDNS; Ingot knows InternalIP.
	// +kubebuilder:validation:Enum=Hostname;ExternalIP;InternalIP;ExternalDNS;InternalDNS
	Type string `json:"type"`
	// Address of the machine.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Address string `json:"address"`
}

// IngotMachineStatus says how the machine fares.
type IngotMachineStatus struct {
	// Initialization is what Cluster API waits for: provisioned is true once the operating system proved that it is installed with its machine config.
	// +optional
	Initialization InitializationStatus `json:"initialization,omitempty,omitzero"`
	// Server that the machine runs on.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Server string `json:"server,omitempty"`
	// FailureDomain that the server stands in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	FailureDomain string `json:"failureDomain,omitempty"`
	// Addresses of the server.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Addresses []MachineAddress `json:"addresses,omitempty"`
	// Conditions say what is so, why, and what is waited for.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// IngotMachine is the infrastructure of a Cluster API Machine: it takes a server by a ServerClaim of its own name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:metadata:labels="cluster.x-k8s.io/provider=infrastructure-ingot"
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:resource:path=ingotmachines,scope=Namespaced,categories=cluster-api
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels['cluster\.x-k8s\.io/cluster-name']`
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.className`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.status.server`
// +kubebuilder:printcolumn:name="Provisioned",type=boolean,JSONPath=`.status.initialization.provisioned`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.status.failureDomain`,priority=1
// +kubebuilder:printcolumn:name="ProviderID",type=string,JSONPath=`.spec.providerID`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IngotMachine struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	//
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.providerID) || (has(self.providerID) && self.providerID == oldSelf.providerID)",message="providerID is immutable once it is set"
	// +kubebuilder:validation:XValidation:rule="self.className == oldSelf.className",message="className is immutable: roll out a new template"
	// +kubebuilder:validation:XValidation:rule="has(self.serverName) == has(oldSelf.serverName) && (!has(self.serverName) || self.serverName == oldSelf.serverName)",message="serverName is immutable"
	// +kubebuilder:validation:XValidation:rule="has(self.environmentName) == has(oldSelf.environmentName) && (!has(self.environmentName) || self.environmentName == oldSelf.environmentName)",message="environmentName is immutable: roll out a new template"
	// +kubebuilder:validation:XValidation:rule="has(self.patches) == has(oldSelf.patches) && (!has(self.patches) || self.patches == oldSelf.patches)",message="patches are immutable: roll out a new template"
	// +kubebuilder:validation:XValidation:rule="has(self.installDisk) == has(oldSelf.installDisk) && (!has(self.installDisk) || self.installDisk == oldSelf.installDisk)",message="installDisk is immutable: roll out a new template"
	// +kubebuilder:validation:XValidation:rule="(has(self.reuse) && self.reuse) == (has(oldSelf.reuse) && oldSelf.reuse)",message="reuse is immutable: roll out a new template"
	Spec IngotMachineSpec `json:"spec"`
	// Status is what was observed.
	// +optional
	Status IngotMachineStatus `json:"status,omitempty"`
}

// IngotMachineList is a list of IngotMachines.
//
// +kubebuilder:object:root=true
type IngotMachineList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IngotMachine `json:"items"`
}
