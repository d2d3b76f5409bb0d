package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
	// Cycles are the last power cycles that a remediation asked for, the oldest first: there are at most three in an hour.
	// +kubebuilder:validation:MaxItems=3
	// +listType=atomic
	// +optional
	Cycles []PowerCycle `json:"cycles,omitempty"`
}

// PowerCycle is a power cycle that nobody but Ingot asked for.
type PowerCycle struct {
	// ID of its request.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// At is when it was begun.
	At metav1.Time `json:"at"`
}
