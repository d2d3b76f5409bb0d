package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServerState is the stage of life of a server. It is for people: it is computed last and never read by code or selectors.
//
// +kubebuilder:validation:Enum=Unverified;Discovered;Wiping;Available;AwaitingPower;Provisioning;Running;Releasing
type ServerState string

const (
	// StateUnverified is a Server that Ingot has no record for: declared and never seen, or restored without evidence.
	StateUnverified ServerState = "Unverified"
	// StateDiscovered is a Server whose agent registered and which nobody accepted yet. Nothing destructive happens to it.
	StateDiscovered ServerState = "Discovered"
	// StateWiping is an accepted Server whose own disks are being erased and verified.
	StateWiping ServerState = "Wiping"
	// StateAvailable is a clean Server that a claim may take.
	StateAvailable ServerState = "Available"
	// StateAwaitingPower is a clean Server without a BMC whose agent is not there: no claim takes it until a person starts the machine.
	StateAwaitingPower ServerState = "AwaitingPower"
	// StateProvisioning is a claimed Server that boots, installs and configures its operating system.
	StateProvisioning ServerState = "Provisioning"
	// StateRunning is a claimed Server whose workload proved that it runs.
	StateRunning ServerState = "Running"
	// StateReleasing is a Server whose claim is gone: it is shut down, proven off, and then wiped.
	StateReleasing ServerState = "Releasing"
)

// PowerState is the power of a machine as its BMC says.
//
// +kubebuilder:validation:Enum=On;Off;Unknown
type PowerState string

const (
	// PowerOn is on.
	PowerOn PowerState = "On"
	// PowerOff is off.
	PowerOff PowerState = "Off"
	// PowerUnknown is neither: no BMC, no answer, or no answer that can be believed.
	PowerUnknown PowerState = "Unknown"
)

// PowerStatus is the last reading of the power state, with its age.
type PowerStatus struct {
	// State is On, Off or Unknown.
	State PowerState `json:"state"`
	// ObservedAt is when the BMC last said so. It is refreshed at least every five minutes while the BMC answers.
	// +optional
	ObservedAt *metav1.Time `json:"observedAt,omitempty"`
}

// BootTarget is what a machine gets when it netboots next.
//
// +kubebuilder:validation:Enum=Agent;OS;LocalDisk;Idle;NoAnswer
type BootTarget string

const (
	// BootTargetAgent is Ingot's agent.
	BootTargetAgent BootTarget = "Agent"
	// BootTargetOS is the operating system of the Environment.
	BootTargetOS BootTarget = "OS"
	// BootTargetLocalDisk leaves the network and boots the next device of the firmware's order.
	BootTargetLocalDisk BootTarget = "LocalDisk"
	// BootTargetIdle waits in the boot script and asks again.
	BootTargetIdle BootTarget = "Idle"
	// BootTargetNoAnswer is silence.
	BootTargetNoAnswer BootTarget = "NoAnswer"
)

// BootStatus is what the machine shall boot next, decided before it asks.
type BootStatus struct {
	// ID names the boot. Empty when no boot is expected.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ID string `json:"id,omitempty"`
	// Target is what it gets.
	Target BootTarget `json:"target"`
	// Deadline is when an expected boot counts as failed.
	// +optional
	Deadline *metav1.Time `json:"deadline,omitempty"`
}

// PendingAction is the one external action that was recorded before it was begun.
type PendingAction struct {
	// ID names the action.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Kind is what is being done.
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// Since is when it was recorded.
	Since metav1.Time `json:"since"`
}

// BootStage is one step of a boot's timeline.
type BootStage struct {
	// Stage is the name of the step: one of the constants that begin with Stage, as DHCP, Kernel or Enrolled.
	// +kubebuilder:validation:MaxLength=32
	Stage string `json:"stage"`
	// At is when the server saw it, by the clock of Ingot.
	At metav1.MicroTime `json:"at"`
}

// BootTimeline is what was seen of one boot.
type BootTimeline struct {
	// ID names the boot.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Target is what the machine got.
	// +optional
	Target BootTarget `json:"target,omitempty"`
	// Firmware is how it netbooted, for instance `uefi-pxe`, `uefi-http` or `bios-pxe`.
	// +kubebuilder:validation:MaxLength=32
	// +optional
	Firmware string `json:"firmware,omitempty"`
	// Stages in the order in which they were seen.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Stages []BootStage `json:"stages,omitempty"`
}

// InventorySummary is ten fields of the ServerInventory for people and columns.
type InventorySummary struct {
	// Manufacturer of the system.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// Product name of the system.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Product string `json:"product,omitempty"`
	// Serial number of the system.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
	// Arch is amd64 or arm64.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Arch string `json:"arch,omitempty"`
	// CPU is sockets, model and cores in one line.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	CPU string `json:"cpu,omitempty"`
	// Cores of all CPUs.
	// +optional
	Cores int32 `json:"cores,omitempty"`
	// Memory in human units.
	// +kubebuilder:validation:MaxLength=32
	// +optional
	Memory string `json:"memory,omitempty"`
	// Disks counts the server's own disks and their size in one line.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Disks string `json:"disks,omitempty"`
	// NICs counts interfaces and their fastest speed in one line.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	NICs string `json:"nics,omitempty"`
	// MAC that the machine netbooted from.
	// +kubebuilder:validation:MaxLength=17
	// +optional
	MAC string `json:"mac,omitempty"`
}

// DiskVerdict says what Ingot may do with a disk.
//
// +kubebuilder:validation:Enum=Own;Ignored;Blocked
type DiskVerdict string

const (
	// DiskOwn is the server's own: a granted wipe erases it.
	DiskOwn DiskVerdict = "Own"
	// DiskIgnored is never touched and not waited for.
	DiskIgnored DiskVerdict = "Ignored"
	// DiskBlocked is never touched, and keeps the server from becoming Available.
	DiskBlocked DiskVerdict = "Blocked"
)

// DiskStatus is what Ingot makes of one disk: what a wipe would do with it.
type DiskStatus struct {
	// DiskID of the disk.
	DiskID `json:",inline"`
	// Name that the kernel gave it at the last report.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Name string `json:"name,omitempty"`
	// Description is transport, size and model in one line.
	// +kubebuilder:validation:MaxLength=192
	// +optional
	Description string `json:"description,omitempty"`
	// Contents as the agent saw them.
	// +optional
	Contents DiskContents `json:"contents,omitempty"`
	// Verdict is Own, Ignored or Blocked.
	Verdict DiskVerdict `json:"verdict"`
	// Reason for the verdict, for people.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Reason string `json:"reason,omitempty"`
	// NeedsConfirmation is true for an own disk with data that no person confirmed: `ingot accept --wipe-data`.
	// +optional
	NeedsConfirmation bool `json:"needsConfirmation,omitempty"`
}

// DiskProgress is how far the wipe of one disk is.
type DiskProgress struct {
	// Serial of the disk.
	// +kubebuilder:validation:MaxLength=128
	Serial string `json:"serial"`
	// Phase is the method under way, or Verify, Done or Failed.
	// +kubebuilder:validation:MaxLength=32
	Phase string `json:"phase"`
	// Percent of the disk.
	// +optional
	Percent int32 `json:"percent,omitempty"`
	// ETASeconds until the disk is done; absent while unknown.
	// +optional
	ETASeconds int64 `json:"etaSeconds,omitempty"`
}

// WipeStatus is the progress of the wipe that runs. It is a hint for people and for patience; only the receipt in the record proves anything.
type WipeStatus struct {
	// ID and Generation of the task.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Generation of the task.
	Generation int64 `json:"generation"`
	// UpdatedAt is when the agent last told.
	UpdatedAt metav1.Time `json:"updatedAt"`
	// Disks at work.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []DiskProgress `json:"disks,omitempty"`
}

// ServerStatus holds only what can be observed again: losing it changes nothing on any machine.
type ServerStatus struct {
	// State is for people; code and selectors read conditions.
	// +optional
	State ServerState `json:"state,omitempty"`
	// Power as the BMC last said, with the age of that reading.
	// +optional
	Power *PowerStatus `json:"power,omitempty"`
	// Boot is what the machine shall boot next.
	// +optional
	Boot *BootStatus `json:"boot,omitempty"`
	// PendingAction was recorded before it was begun.
	// +optional
	PendingAction *PendingAction `json:"pendingAction,omitempty"`
	// Disks as Ingot judges them: what a wipe would do.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []DiskStatus `json:"disks,omitempty"`
	// Wipe is the progress of the wipe that runs.
	// +optional
	Wipe *WipeStatus `json:"wipe,omitempty"`
	// Addresses the machine was last seen with.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Addresses []string `json:"addresses,omitempty"`
	// Inventory is a summary of the ServerInventory of the same name.
	// +optional
	Inventory *InventorySummary `json:"inventory,omitempty"`
	// Conditions say what is so, why, and what is waited for.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Boots are the timelines of the last three boots, the newest first.
	// +kubebuilder:validation:MaxItems=3
	// +listType=atomic
	// +optional
	Boots []BootTimeline `json:"boots,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}
