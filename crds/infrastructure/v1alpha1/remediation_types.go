package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RemediationType is what is tried before a machine is replaced.
//
// +kubebuilder:validation:Enum=PowerCycle
type RemediationType string

// RemediationPowerCycle switches the server off through its BMC, reads that back, and switches it on.
const RemediationPowerCycle RemediationType = "PowerCycle"

// What a strategy says where it says nothing.
const (
	// DefaultRemediationRetries is one power cycle.
	DefaultRemediationRetries = 1
	// DefaultRemediationTimeoutSeconds is how long a server may take from power-on to a healthy Node: large ones test their memory for ten minutes.
	DefaultRemediationTimeoutSeconds = 900
)

// RemediationStrategy says what is tried, how often, and for how long.
type RemediationStrategy struct {
	// Type is PowerCycle.
	// +kubebuilder:default=PowerCycle
	// +optional
	Type RemediationType `json:"type,omitempty"`
	// Retries is how many power cycles are tried before the machine is replaced; 0 replaces it at once. A server that was cycled three times within an hour, for
	// however many remediations, is replaced instead of once more.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3
	// +optional
	Retries *int32 `json:"retries,omitempty"`
	// TimeoutSeconds is how long the machine may take to be healthy again after each power cycle.
	// +kubebuilder:default=900
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	// +optional
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
}

// IngotRemediationSpec says what to do about an unhealthy machine.
type IngotRemediationSpec struct {
	// Strategy for the machine. Default: one power cycle, and 15 minutes for the Node to be healthy.
	// +optional
	Strategy *RemediationStrategy `json:"strategy,omitempty"`
}

// RetriesOrDefault is how many power cycles are tried.
func (s IngotRemediationSpec) RetriesOrDefault() int32 {
	if s.Strategy == nil || s.Strategy.Retries == nil {
		return DefaultRemediationRetries
	}
	return *s.Strategy.Retries
}

// TimeoutOrDefault is how many seconds the machine has after each.
func (s IngotRemediationSpec) TimeoutOrDefault() int32 {
	if s.Strategy == nil || s.Strategy.TimeoutSeconds == nil {
		return DefaultRemediationTimeoutSeconds
	}
	return *s.Strategy.TimeoutSeconds
}

// RemediationPhase is how far a remediation got.
//
// +kubebuilder:validation:Enum=Waiting;Cycling;Watching;Replacing
type RemediationPhase string

// The phases.
const (
	// RemediationWaiting waits for something before the next power cycle; the condition Ready says for what.
	RemediationWaiting RemediationPhase = "Waiting"
	// RemediationCycling has asked for a power cycle that the BMC did not confirm yet.
	RemediationCycling RemediationPhase = "Cycling"
	// RemediationWatching gives the machine time to be healthy again. Whoever asked for the remediation takes it away then.
	RemediationWatching RemediationPhase = "Watching"
	// RemediationReplacing left the machine to its owner, to be replaced.
	RemediationReplacing RemediationPhase = "Replacing"
)

// IngotRemediationStatus says how far it got.
type IngotRemediationStatus struct {
	// Phase for people and for the next step: Waiting, Cycling, Watching or Replacing.
	// +optional
	Phase RemediationPhase `json:"phase,omitempty"`
	// Cycles counts the power cycles that were asked for.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Cycles int32 `json:"cycles,omitempty"`
	// RequestID is the id of the last power request.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	RequestID string `json:"requestID,omitempty"`
	// RequestedAt is when it was made.
	// +optional
	RequestedAt *metav1.Time `json:"requestedAt,omitempty"`
	// CycledAt is when the last power cycle ended, whether the BMC confirmed it or not.
	// +optional
	CycledAt *metav1.Time `json:"cycledAt,omitempty"`
	// Server that is cycled.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Server string `json:"server,omitempty"`
	// Conditions say what is so, why, and what is waited for.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// IngotRemediation asks Ingot to bring the server of an unhealthy Machine back. A MachineHealthCheck of Cluster API makes it from a template under the Machine's
// name, and deletes it when the Machine is healthy again. When nothing helped the Machine is left to its owner, which replaces it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:metadata:labels="cluster.x-k8s.io/provider=infrastructure-ingot"
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:resource:path=ingotremediations,scope=Namespaced,categories=cluster-api
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels['cluster\.x-k8s\.io/cluster-name']`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.status.server`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Cycles",type=integer,JSONPath=`.status.cycles`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IngotRemediation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	// +optional
	Spec IngotRemediationSpec `json:"spec,omitempty"`
	// Status is what was observed.
	// +optional
	Status IngotRemediationStatus `json:"status,omitempty"`
}

// IngotRemediationList is a list of IngotRemediations.
//
// +kubebuilder:object:root=true
type IngotRemediationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IngotRemediation `json:"items"`
}

// IngotRemediationTemplateSpec holds the template.
type IngotRemediationTemplateSpec struct {
	// Template is what IngotRemediations are made from.
	Template IngotRemediationTemplateResource `json:"template"`
}

// IngotRemediationTemplateResource is what an IngotRemediation is made from.
type IngotRemediationTemplateResource struct {
	// Metadata of the IngotRemediation.
	// +optional
	Metadata Metadata `json:"metadata,omitempty,omitzero"`
	// Spec of the IngotRemediation.
	Spec IngotRemediationSpec `json:"spec"`
}

// IngotRemediationTemplate is what a MachineHealthCheck makes IngotRemediations from, by `spec.remediation.templateRef`. It never changes; make another one instead.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:metadata:labels="cluster.x-k8s.io/provider=infrastructure-ingot"
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:resource:path=ingotremediationtemplates,scope=Namespaced,categories=cluster-api
// +kubebuilder:printcolumn:name="Retries",type=integer,JSONPath=`.spec.template.spec.strategy.retries`
// +kubebuilder:printcolumn:name="Timeout",type=integer,JSONPath=`.spec.template.spec.strategy.timeoutSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IngotRemediationTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template.
	Spec IngotRemediationTemplateSpec `json:"spec"`
}

// IngotRemediationTemplateList is a list of IngotRemediationTemplates.
//
// +kubebuilder:object:root=true
type IngotRemediationTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IngotRemediationTemplate `json:"items"`
}
