package v1alpha1

// Metadata is what a template gives to the objects made from it.
type Metadata struct {
	// Labels of the object.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the object.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// InitializationStatus is what Cluster API waits for while it makes a cluster.
//
// +kubebuilder:validation:MinProperties=1
type InitializationStatus struct {
	// Provisioned is true once the infrastructure is there. It stays true.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}
