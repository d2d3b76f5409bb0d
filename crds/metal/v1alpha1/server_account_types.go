package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BMCAccountStep is how far an account at the BMC got.
//
// +kubebuilder:validation:Enum=Keeping;Setting;Checking;Taking;Dropping;Forgetting;Done;Failed
type BMCAccountStep string

const (
	// BMCAccountKeeping waits until its name and password are in the Secret, before anybody is told.
	BMCAccountKeeping BMCAccountStep = "Keeping"
	// BMCAccountSetting waits for the agent of a proven boot to set it up.
	BMCAccountSetting BMCAccountStep = "Setting"
	// BMCAccountChecking waits for a login over the network.
	BMCAccountChecking BMCAccountStep = "Checking"
	// BMCAccountTaking waits until the Secret holds it as the one to use.
	BMCAccountTaking BMCAccountStep = "Taking"
	// BMCAccountDropping waits for the agent of a proven boot to drop those before it.
	BMCAccountDropping BMCAccountStep = "Dropping"
	// BMCAccountForgetting waits until the Secret does not hold those before it any more.
	BMCAccountForgetting BMCAccountStep = "Forgetting"
	// BMCAccountDone is in use, and nothing is left of those before it.
	BMCAccountDone BMCAccountStep = "Done"
	// BMCAccountFailed is tried again after a while; what worked before works on.
	BMCAccountFailed BMCAccountStep = "Failed"
)

// BMCAccountRecord is the account of Ingot's own at the server's BMC. It holds no password: those are in a Secret.
type BMCAccountRecord struct {
	// ID of the account: random, and new with each rotation.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Generation counts how often it was begun to set it up.
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
	// Step it reached.
	Step BMCAccountStep `json:"step"`
	// At is when it reached that step.
	At metav1.Time `json:"at"`
	// Username at the BMC.
	// +kubebuilder:validation:MaxLength=16
	Username string `json:"username"`
	// Using is the name of the account of Ingot's own that is in use: this one in the end, the one before until then.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	Using string `json:"using,omitempty"`
	// Requested says that a person asked for it.
	// +optional
	Requested bool `json:"requested,omitempty"`
	// Forfeited says that the boot in which it was set up was contradicted: it is never used.
	// +optional
	Forfeited bool `json:"forfeited,omitempty"`
	// BootID is the boot whose agent set it up.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	BootID string `json:"bootID,omitempty"`
	// After is when spec.bmc may be written at the soonest: without a BMC the boot is open to contradiction until then.
	// +optional
	After *metav1.Time `json:"after,omitempty"`
	// Slot and Channel of the user, as the agent told.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63
	// +optional
	Slot int32 `json:"slot,omitempty"`
	// Channel that the user may come over.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=15
	// +optional
	Channel int32 `json:"channel,omitempty"`
	// Endpoint is the address of the BMC, as the agent told.
	// +kubebuilder:validation:MaxLength=45
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// Port of the BMC, where it is not 623.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
	// Problem says why the last try failed; it holds no secret.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Problem string `json:"problem,omitempty"`
	// Old are the names of Ingot's users that are to be dropped.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=16
	// +listType=atomic
	// +optional
	Old []string `json:"old,omitempty"`
}
