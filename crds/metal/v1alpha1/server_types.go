package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServerState is the stage of life of a server. It is for people: it is computed last and never read by code or selectors.
//
// +kubebuilder:validation:Enum=Unverified;Discovered;Wiping;Available;Provisioning;Running;Releasing
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
	// StateProvisioning is a claimed Server that boots, installs and configures its operating system.
	StateProvisioning ServerState = "Provisioning"
	// StateRunning is a claimed Server whose workload proved that it runs.
	StateRunning ServerState = "Running"
	// StateReleasing is a Server whose claim is gone: it is shut down, proven off, and then wiped.
	StateReleasing ServerState = "Releasing"
)

// BMCProtocol selects how Ingot talks to a baseboard management controller.
//
// +kubebuilder:validation:Enum=Auto;Redfish;IPMI
type BMCProtocol string

const (
	// BMCAuto asks the BMC once what it speaks and then stays with the answer.
	BMCAuto BMCProtocol = "Auto"
	// BMCRedfish is Redfish over HTTPS (DMTF DSP0266).
	BMCRedfish BMCProtocol = "Redfish"
	// BMCIPMI is IPMI 2.0 over RMCP+.
	BMCIPMI BMCProtocol = "IPMI"
)

// BMC says where and how the server's management controller is reached.
type BMC struct {
	// Protocol is Auto (ask once), Redfish or IPMI.
	// +kubebuilder:default=Auto
	// +optional
	Protocol BMCProtocol `json:"protocol,omitempty"`

	// Endpoint is the host name or IP address of the BMC, without scheme, port or path.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.contains('/') && !self.contains('@') && !self.contains(' ')",message="endpoint is a host name or an IP address: no scheme, path, user or blank"
	Endpoint string `json:"endpoint"`

	// Port is the port of the BMC. Default: 443 for Redfish, 623 for IPMI.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`

	// CredentialsSecret is the name of a Secret in the system namespace with the keys `username` and `password`.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	CredentialsSecret string `json:"credentialsSecret"`

	// TLSFingerprint pins the certificate of the BMC: the SHA-256 of its DER form in lower-case hexadecimal.
	// Without it the certificate is pinned when the server is accepted.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	// +optional
	TLSFingerprint string `json:"tlsFingerprint,omitempty"`
}

// Identity declares how a server is recognised at its first boot, so that it is matched and not registered twice.
//
// +kubebuilder:validation:MinProperties=1
type Identity struct {
	// MACs are permanent MAC addresses of on-board network interfaces, lower case with colons.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Pattern=`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`
	// +listType=set
	// +optional
	MACs []string `json:"macs,omitempty"`

	// Manufacturer is the SMBIOS system manufacturer; it counts together with Serial.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`

	// Serial is the SMBIOS system serial number; it counts together with Manufacturer.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`

	// UUID is the SMBIOS system UUID in lower case. It is the weakest evidence: many boards share one or have none.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`
	// +optional
	UUID string `json:"uuid,omitempty"`
}

// BootMode is how the server's firmware netboots.
//
// +kubebuilder:validation:Enum=UEFI;BIOS
type BootMode string

const (
	// BootModeUEFI boots through UEFI PXE or UEFI HTTP boot.
	BootModeUEFI BootMode = "UEFI"
	// BootModeBIOS boots through legacy PXE.
	BootModeBIOS BootMode = "BIOS"
)

// Location says where the machine stands.
type Location struct {
	// Site is the data centre or room.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Site string `json:"site,omitempty"`
	// Rack is the name of the rack within the site.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Rack string `json:"rack,omitempty"`
	// Unit is the lowest rack unit that the machine fills.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	Unit int32 `json:"unit,omitempty"`
	// PowerFeed names the feed that the machine hangs on.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	PowerFeed string `json:"powerFeed,omitempty"`
}

// PowerAction is what a person asks of a server's power.
//
// +kubebuilder:validation:Enum=On;Off;Cycle
type PowerAction string

const (
	// PowerActionOn ensures that the server is on.
	PowerActionOn PowerAction = "On"
	// PowerActionOff ensures that the server is off, without asking its operating system.
	PowerActionOff PowerAction = "Off"
	// PowerActionCycle ensures off, reads it back, and ensures on.
	PowerActionCycle PowerAction = "Cycle"
)

// PowerRequest is a person's one-time wish. It is done once for each id and dropped when it is older than ten minutes before it starts,
// so that a manifest applied again, or a restored backup, never switches a machine.
type PowerRequest struct {
	// ID names the request; a new id is a new request. `ingot power` makes a random one.
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9-]{0,62}$`
	ID string `json:"id"`
	// Action is On, Off or Cycle.
	Action PowerAction `json:"action"`
	// RequestedAt is when the person asked.
	RequestedAt metav1.Time `json:"requestedAt"`
}

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

// ServerSpec is what people want of the server, and Ingot's record of it.
type ServerSpec struct {
	// Accepted is the operator's yes. Before it nothing destructive ever happens to the server.
	// +optional
	Accepted bool `json:"accepted,omitempty"`

	// Cordoned keeps the server out of new claims.
	// +optional
	Cordoned bool `json:"cordoned,omitempty"`

	// BMC says how the management controller is reached. Without it a person presses the power button.
	// +optional
	BMC *BMC `json:"bmc,omitempty"`

	// Identity declares how the machine is recognised at its first boot.
	// +optional
	Identity *Identity `json:"identity,omitempty"`

	// BootMode is how the firmware netboots. Default: what the machine was last seen to do.
	// +optional
	BootMode BootMode `json:"bootMode,omitempty"`

	// Location says where the machine stands.
	// +optional
	Location *Location `json:"location,omitempty"`

	// EnvironmentRef names the Environment for this server; it wins over the class.
	// +optional
	EnvironmentRef *NameRef `json:"environmentRef,omitempty"`

	// Patches are strategic merge patches (YAML) for the machine config; they apply after those of the claim.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=65536
	// +listType=atomic
	// +optional
	Patches []string `json:"patches,omitempty"`

	// PowerRequest is a person's one-time wish; see `ingot power`.
	// +optional
	PowerRequest *PowerRequest `json:"powerRequest,omitempty"`

	// Record holds what cannot be observed again. Only Ingot writes it.
	// +optional
	Record *ServerRecord `json:"record,omitempty"`
}

// NameRef refers to a cluster-scoped object by name. References carry no namespace.
type NameRef struct {
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

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
	// Stage is the name of the step: PowerOn, DHCP, FirstStage, Script, Kernel, Agent, Enrolled, Inventory, LocalDisk.
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

// Server is one physical machine. Its name is chosen by the operator or random; it is never derived from hardware and never changes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=srv,categories=metal
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.metadata.labels.metal\.ingot\.dev/class`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Power",type=string,JSONPath=`.status.power.state`
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.spec.record.claim.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="BMC",type=string,JSONPath=`.spec.bmc.endpoint`,priority=1
// +kubebuilder:printcolumn:name="Serial",type=string,JSONPath=`.status.inventory.serial`,priority=1
// +kubebuilder:printcolumn:name="Model",type=string,JSONPath=`.status.inventory.product`,priority=1
// +kubebuilder:printcolumn:name="CPU",type=string,JSONPath=`.status.inventory.cpu`,priority=1
// +kubebuilder:printcolumn:name="Memory",type=string,JSONPath=`.status.inventory.memory`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="the name of a Server has at most 63 characters: it becomes a label value and a host name"
type Server struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	Spec ServerSpec `json:"spec,omitempty"`
	// Status is what was observed.
	Status ServerStatus `json:"status,omitempty"`
}

// ServerList is a list of Servers.
//
// +kubebuilder:object:root=true
type ServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Server `json:"items"`
}
