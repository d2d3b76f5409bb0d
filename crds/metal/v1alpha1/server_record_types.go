package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DiskID names one disk by what it says of itself.
//
// +kubebuilder:validation:MinProperties=1
type DiskID struct {
	// WWID is the world-wide identifier of the disk.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	WWID string `json:"wwid,omitempty"`
	// Serial is the serial number of the disk.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
}

// AcceptanceRecord is the operator's yes, with the disks that it covers.
type AcceptanceRecord struct {
	// At is when the server was accepted.
	At metav1.Time `json:"at"`
	// Disks are the disks that a person, or a blank reading, allowed to be wiped for the first time.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []DiskID `json:"disks,omitempty"`
}

// ClaimRecord is the server's side of a binding.
type ClaimRecord struct {
	// Namespace of the ServerClaim.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// Name of the ServerClaim.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// BindingID joins the two sides of the binding. It is random, and it is not a Kubernetes UID.
	// +kubebuilder:validation:MaxLength=63
	BindingID string `json:"bindingID"`
}

// WipeRecord is the wipe that was last granted, and whether a receipt proved it done.
type WipeRecord struct {
	// ID names the wipe.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// GrantedAt is when it was granted.
	GrantedAt metav1.Time `json:"grantedAt"`
	// VerifiedAt is when a receipt covered every disk.
	// +optional
	VerifiedAt *metav1.Time `json:"verifiedAt,omitempty"`
}

// InstalledRecord says which boot put an operating system on the server.
type InstalledRecord struct {
	// BootID is the boot whose installation was proven.
	// +kubebuilder:validation:MaxLength=63
	BootID string `json:"bootID"`
	// At is when it was proven.
	At metav1.Time `json:"at"`
}

// QuarantineRecord keeps a server out of allocation.
type QuarantineRecord struct {
	// Reason is one of the reasons of Ingot.
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// Message is for people.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Message string `json:"message,omitempty"`
	// At is when the quarantine began.
	At metav1.Time `json:"at"`
}

// BMCPin is the certificate that the BMC showed when the server was accepted.
type BMCPin struct {
	// SHA256 of the certificate's DER form, lower-case hexadecimal.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256"`
	// At is when it was pinned.
	At metav1.Time `json:"at"`
}

// ManagedBy names the one installation that may act on the server.
type ManagedBy struct {
	// Installation is the random id of an Ingot installation.
	// +kubebuilder:validation:MaxLength=63
	Installation string `json:"installation"`
	// Epoch counts hand-overs.
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch"`
}

// PowerStep is how far a power request got.
//
// +kubebuilder:validation:Enum=SwitchingOff;SwitchingOn;Done;Expired;Failed
type PowerStep string

const (
	// PowerSwitchingOff waits until the BMC reads off.
	PowerSwitchingOff PowerStep = "SwitchingOff"
	// PowerSwitchingOn waits until the BMC reads on.
	PowerSwitchingOn PowerStep = "SwitchingOn"
	// PowerDone read the wanted state back.
	PowerDone PowerStep = "Done"
	// PowerExpired was too old to start.
	PowerExpired PowerStep = "Expired"
	// PowerFailed gave up; the condition PowerReady says why.
	PowerFailed PowerStep = "Failed"
)

// PowerRecord remembers the last power request, so that it is done once even when status is lost.
type PowerRecord struct {
	// ID of the request.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Step it reached.
	Step PowerStep `json:"step"`
	// At is when it reached that step.
	At metav1.Time `json:"at"`
}

// ServerRecord holds the facts that cannot be observed again. Only Ingot writes it: an admission policy refuses everybody else.
type ServerRecord struct {
	// Acceptance is the operator's yes.
	// +optional
	Acceptance *AcceptanceRecord `json:"acceptance,omitempty"`
	// Claim is the server's side of its binding.
	// +optional
	Claim *ClaimRecord `json:"claim,omitempty"`
	// Wipe is the last granted wipe.
	// +optional
	Wipe *WipeRecord `json:"wipe,omitempty"`
	// Installed is the last proven installation.
	// +optional
	Installed *InstalledRecord `json:"installed,omitempty"`
	// Quarantine keeps the server out of allocation.
	// +optional
	Quarantine *QuarantineRecord `json:"quarantine,omitempty"`
	// BMCPin is the pinned certificate of the BMC.
	// +optional
	BMCPin *BMCPin `json:"bmcPin,omitempty"`
	// ManagedBy is the one installation that acts on the server.
	// +optional
	ManagedBy *ManagedBy `json:"managedBy,omitempty"`
	// Power is the last power request.
	// +optional
	Power *PowerRecord `json:"power,omitempty"`
}
