// Package v1alpha1 holds the infrastructure.cluster.x-k8s.io/v1alpha1 API: what Ingot provides to Cluster API, by its contract v1beta2.
//
// It is plain data (layer 0): it imports only apimachinery and Ingot's own API. Fields of the contract have the contract's names and shapes; they are written
// out here, since layer 0 knows nothing of Cluster API's module. Templates are kept as they are by a ValidatingAdmissionPolicy (crds/manifests/policy), since a
// CEL rule of a CustomResourceDefinition cannot see that a request is a dry run.
//
// +kubebuilder:object:generate=true
// +groupName=infrastructure.cluster.x-k8s.io
package v1alpha1
