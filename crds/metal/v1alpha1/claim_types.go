package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Binding is the claim's side of a two-sided binding; it is written after the Server's side and never changes.
type Binding struct {
	// Server is the name of the bound Server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Server string `json:"server"`
	// BindingID joins it to the Server's record.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	BindingID string `json:"bindingID"`
}

// FailureDomain is a set of servers that may fail together: those with one value of a label.
type FailureDomain struct {
	// Key is a label of Servers.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// Name of the domain: the label's value.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
}

// SpreadMode says what to do where a claim cannot be spread as wanted.
//
// +kubebuilder:validation:Enum=DoNotSchedule;ScheduleAnyway
type SpreadMode string

// The modes, named as those of Kubernetes' topology spread constraints.
const (
	// DoNotSchedule waits for a server that keeps the skew.
	DoNotSchedule SpreadMode = "DoNotSchedule"
	// ScheduleAnyway takes one of the domain with the fewest.
	ScheduleAnyway SpreadMode = "ScheduleAnyway"
)

// Spread spreads claims over failure domains. It counts claims of the same Cluster API cluster and role, or else of the same owner. The domains are those of
// the servers that fit, taken or not.
type Spread struct {
	// Key is a label of Servers; each of its values is a domain. DoNotSchedule takes no server without it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// MaxSkew is by how many a domain may be ahead of the one with the fewest.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxSkew int32 `json:"maxSkew,omitempty"`
	// WhenUnsatisfiable says what to do where no free server keeps the skew: DoNotSchedule (default) waits, ScheduleAnyway takes the best that there is.
	// +kubebuilder:default=DoNotSchedule
	// +optional
	WhenUnsatisfiable SpreadMode `json:"whenUnsatisfiable,omitempty"`
}

// ServerClaimSpec asks for one server.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.binding) || (has(self.binding) && self.binding == oldSelf.binding)",message="binding is immutable: delete the claim to release the server"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.binding) || (has(self.environmentName) == has(oldSelf.environmentName) && (!has(self.environmentName) || self.environmentName == oldSelf.environmentName))",message="environmentName is immutable once the claim is bound"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.binding) || self.className == oldSelf.className",message="className is immutable once the claim is bound"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.binding) || (has(self.bootstrapEtcd) && self.bootstrapEtcd) == (has(oldSelf.bootstrapEtcd) && oldSelf.bootstrapEtcd)",message="bootstrapEtcd is immutable once the claim is bound"
type ServerClaimSpec struct {
	// ClassName names the ServerClass to take a server from.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClassName string `json:"className"`
	// ServerName, when set, asks for that very server; it must fit the class.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ServerName string `json:"serverName,omitempty"`
	// EnvironmentName, when set, asks for that Environment; the class must allow it. Default: the Server's, then the class's.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	EnvironmentName string `json:"environmentName,omitempty"`
	// ConfigSecret is the name of a Secret in the claim's namespace whose key `value` is the machine config.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$`
	// +optional
	ConfigSecret string `json:"configSecret,omitempty"`
	// Patches are strategic merge patches (YAML) for the machine config; they apply after the class and before the Server.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=65536
	// +listType=atomic
	// +optional
	Patches []string `json:"patches,omitempty"`
	// InstallDisk chooses the disk that Talos is installed on; it takes the place of the class's.
	// +optional
	InstallDisk *InstallDisk `json:"installDisk,omitempty"`
	// BootstrapEtcd lets Ingot bootstrap the etcd of a new cluster on the claim's Talos, once for the whole life of the claim. Set it on one control plane of a new
	// cluster, and on none that joins one which exists: a second bootstrap makes a second cluster.
	// +optional
	BootstrapEtcd bool `json:"bootstrapEtcd,omitempty"`
	// FailureDomain, when set, takes only servers of that domain.
	// +optional
	FailureDomain *FailureDomain `json:"failureDomain,omitempty"`
	// Spread, when set, keeps the claims of a cluster apart. It comes before the class's spreadKey and before the size of servers.
	// +optional
	Spread *Spread `json:"spread,omitempty"`
	// Reuse lets the machine of Cluster API that replaces this one have its server without a wipe, and lets this one have such a server, where the class says
	// SameOwner as well: data disks keep what is on them.
	// +optional
	Reuse bool `json:"reuse,omitempty"`
	// Binding is written by Ingot.
	// +optional
	Binding *Binding `json:"binding,omitempty"`
}

// Unfit groups the servers that a waiting claim cannot have for one reason.
type Unfit struct {
	// Reason is one of the reasons of Ingot.
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// Message explains it with the first server's values.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Message string `json:"message,omitempty"`
	// Count of servers.
	Count int32 `json:"count"`
	// Servers are the first of them by name.
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	Servers []string `json:"servers,omitempty"`
}

// ServerClaimStatus says how far the claim got.
type ServerClaimStatus struct {
	// Unfit says for a claim that waits why each server cannot be had; empty for a bound one.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Unfit []Unfit `json:"unfit,omitempty"`
	// Addresses of the server.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Addresses []string `json:"addresses,omitempty"`
	// Conditions say what is so, why, and what is waited for.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ServerClaim is a request for one server; Cluster API machines create one, people may too.
//
// +kubebuilder:object:root=true
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=sclaim,categories=metal
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.className`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.spec.binding.server`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ServerClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	Spec ServerClaimSpec `json:"spec"`
	// Status is what was observed.
	Status ServerClaimStatus `json:"status,omitempty"`
}

// Cluster is the cluster that the claim's labels name; empty when they name none.
func (c *ServerClaim) Cluster() string {
	if name := c.Labels[ClusterLabel]; name != "" {
		return name
	}
	return c.Labels[ClusterAPILabel]
}

// ServerClaimList is a list of ServerClaims.
//
// +kubebuilder:object:root=true
type ServerClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServerClaim `json:"items"`
}
