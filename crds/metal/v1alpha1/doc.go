// Package v1alpha1 holds the metal.ingot.dev/v1alpha1 API: Server, ServerInventory, ServerClass, ServerClaim and Environment.
//
// It is plain data (layer 0): it imports only apimachinery. Rules that need one object are CEL validations on the fields; rules about
// who may write what are ValidatingAdmissionPolicies in crds/manifests. docs/facts.md names the one writer of every persisted field.
//
// +kubebuilder:object:generate=true
// +groupName=metal.ingot.dev
package v1alpha1
