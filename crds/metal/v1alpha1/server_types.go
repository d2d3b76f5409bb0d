package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
//
// +kubebuilder:validation:XValidation:rule="!has(self.virtualMediaURI) || !has(self.httpBootURI)",message="httpBootURI and virtualMediaURI are two ways to the same boot: set one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.virtualMediaURI) || !has(self.protocol) || self.protocol != 'IPMI'",message="IPMI has no virtual media: leave virtualMediaURI out, or set protocol to Redfish"
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

	// HTTPBootURI is the first file of a network boot, for UEFI's HTTP boot: the BMC tells it to the firmware (Redfish's HttpBootUri), and DHCP need not.
	// Default: the firmware asks DHCP. IPMI has no place for it.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^\s@]+$`
	// +optional
	HTTPBootURI string `json:"httpBootURI,omitempty"`

	// VirtualMediaURI is an image of a disc from which the machine goes on to Ingot, such as the one that each pxe-server has at /boot/v1/media/ingot.iso: for each
	// boot from the network the BMC inserts it as virtual media (Redfish's VirtualMedia) and boots from it once, and then Ingot has it ejected. DHCP need name no
	// boot file, and UEFI needs no HTTP boot. The URI is one that the BMC reaches. Default: virtual media are not used.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^\s@]+$`
	// +optional
	VirtualMediaURI string `json:"virtualMediaURI,omitempty"`

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

// Cable is where one port of a server is to be plugged in.
type Cable struct {
	// MAC is the address of the server's port, lower case with colons: the permanent one where the hardware tells it.
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`
	MAC string `json:"mac"`
	// Switch is the name of the switch, or its chassis id, as it says over LLDP.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Switch string `json:"switch"`
	// Port is the id of the switch's port, or its description, as the switch says over LLDP.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Port string `json:"port"`
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

// PowerRequest is a one-time wish of a person, or of a remediation. A new id is a new wish: it is done once, and dropped when it is older than ten minutes before it starts,
// so that a manifest applied again, or a restored backup, never switches a machine.
type PowerRequest struct {
	// ID names the request; a new id is a new request. `ingot power` makes a random one.
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9-]{0,62}$`
	ID string `json:"id"`
	// Action is On, Off or Cycle.
	Action PowerAction `json:"action"`
	// RequestedAt is when the person asked.
	RequestedAt metav1.Time `json:"requestedAt"`
	// BindingID, when set, makes it a wish of Ingot's own remediation (IngotRemediation) and of no person: it is done only as a cycle of the installed system of that
	// very binding, while nothing else holds the server, and at most three times in an hour.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	BindingID string `json:"bindingID,omitempty"`
}

// AcceptRequest is the gesture of `ingot accept`: a person's one-time yes, with the disks whose data may go. Like a power request it is done once for
// each id and dropped when it is older than ten minutes before it starts, so that Git or a backup never confirms anything again.
type AcceptRequest struct {
	// ID names the request; a new id is a new request.
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9-]{0,62}$`
	ID string `json:"id"`
	// WipeData names the disks with data that the person allowed to be erased.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	WipeData []DiskID `json:"wipeData,omitempty"`
	// Level of the first wipe. Default: Clear.
	// +optional
	Level WipeLevel `json:"level,omitempty"`
	// RequestedAt is when the person asked.
	RequestedAt metav1.Time `json:"requestedAt"`
}

// QuarantineAction is what a person asks.
//
// +kubebuilder:validation:Enum=Quarantine;Lift
type QuarantineAction string

const (
	// QuarantineSet keeps the server out of allocation.
	QuarantineSet QuarantineAction = "Quarantine"
	// QuarantineLift restores the state before.
	QuarantineLift QuarantineAction = "Lift"
)

// QuarantineRequest is the one-time wish of `ingot quarantine` and `ingot lift`.
type QuarantineRequest struct {
	// ID names the request; a new id is a new request.
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9-]{0,62}$`
	ID string `json:"id"`
	// Action is Quarantine or Lift.
	Action QuarantineAction `json:"action"`
	// Message says why, for people.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Message string `json:"message,omitempty"`
	// RequestedAt is when the person asked.
	RequestedAt metav1.Time `json:"requestedAt"`
}

// BMCSetup says whether Ingot may set up an account of its own at a BMC that the Server does not declare.
//
// +kubebuilder:validation:Enum=Auto;Never
type BMCSetup string

const (
	// BMCSetupAuto lets the agent of an accepted server do it where none is declared.
	BMCSetupAuto BMCSetup = "Auto"
	// BMCSetupNever leaves the BMC alone, unless a person asks for an account.
	BMCSetupNever BMCSetup = "Never"
)

// BMCAction is what a person asks about Ingot's account at the BMC.
//
// +kubebuilder:validation:Enum=Rotate
type BMCAction string

// BMCRotate replaces Ingot's account by a fresh one, or sets up the first.
const BMCRotate BMCAction = "Rotate"

// BMCRequest is the one-time wish of `ingot bmc rotate`.
type BMCRequest struct {
	// ID names the request; a new id is a new request.
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9-]{0,62}$`
	ID string `json:"id"`
	// Action is Rotate.
	Action BMCAction `json:"action"`
	// RequestedAt is when the person asked.
	RequestedAt metav1.Time `json:"requestedAt"`
}

// ReleaseRequest is the gesture of `ingot release --confirm-powered-off`: a person's one-time word that the machine does not run its workload any more,
// for a machine whose BMC cannot say so, or whose claim is gone without having been released.
type ReleaseRequest struct {
	// ID names the request; a new id is a new request.
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9-]{0,62}$`
	ID string `json:"id"`
	// BindingID of the binding that shall end; another one is left alone.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	BindingID string `json:"bindingID"`
	// ConfirmPoweredOff says that the person saw the machine off. Without it the request only releases a binding whose claim is gone.
	// +optional
	ConfirmPoweredOff bool `json:"confirmPoweredOff,omitempty"`
	// Message says why, for people.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Message string `json:"message,omitempty"`
	// RequestedAt is when the person asked.
	RequestedAt metav1.Time `json:"requestedAt"`
}

// OwnerAction is what an installation is asked to do with a server.
//
// +kubebuilder:validation:Enum=LetGo;Adopt
type OwnerAction string

const (
	// OwnerLetGo asks the installation that manages the server to act on it no more, so that another one may.
	OwnerLetGo OwnerAction = "LetGo"
	// OwnerAdopt asks the installation that reads this to take the server over.
	OwnerAdopt OwnerAction = "Adopt"
)

// OwnerRequest is the gesture of `ingot adopt`: a person's one-time word about which installation manages the server.
type OwnerRequest struct {
	// ID names the request; a new id is a new request.
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9-]{0,62}$`
	ID string `json:"id"`
	// Action that is asked for.
	Action OwnerAction `json:"action"`
	// Epoch of the hand-over that the person saw in the record; at another one the request means nothing.
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch"`
	// Force takes over a server that its installation did not let go: that one may still act on it.
	// +optional
	Force bool `json:"force,omitempty"`
	// RequestedAt is when the person asked.
	RequestedAt metav1.Time `json:"requestedAt"`
}

// DiskSelector names disks that Ingot shall leave alone and not wait for. All fields that are set must fit.
//
// +kubebuilder:validation:MinProperties=1
type DiskSelector struct {
	// WWID of one disk.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	WWID string `json:"wwid,omitempty"`
	// Serial of one disk.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
	// Transport of disks, for instance `usb`.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	Transport string `json:"transport,omitempty"`
	// Removable, when set, fits disks that are removable, or are not.
	// +optional
	Removable *bool `json:"removable,omitempty"`
}

// ServerSpec is what people want of the server, and Ingot's record of it.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.powerRequest) || !has(self.powerRequest) || self.powerRequest.id != oldSelf.powerRequest.id || self.powerRequest == oldSelf.powerRequest",message="a changed powerRequest needs a new id"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.acceptRequest) || !has(self.acceptRequest) || self.acceptRequest.id != oldSelf.acceptRequest.id || self.acceptRequest == oldSelf.acceptRequest",message="a changed acceptRequest needs a new id"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.releaseRequest) || !has(self.releaseRequest) || self.releaseRequest.id != oldSelf.releaseRequest.id || self.releaseRequest == oldSelf.releaseRequest",message="a changed releaseRequest needs a new id"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.ownerRequest) || !has(self.ownerRequest) || self.ownerRequest.id != oldSelf.ownerRequest.id || self.ownerRequest == oldSelf.ownerRequest",message="a changed ownerRequest needs a new id"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.bmcRequest) || !has(self.bmcRequest) || self.bmcRequest.id != oldSelf.bmcRequest.id || self.bmcRequest == oldSelf.bmcRequest",message="a changed bmcRequest needs a new id"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.quarantineRequest) || !has(self.quarantineRequest) || self.quarantineRequest.id != oldSelf.quarantineRequest.id || self.quarantineRequest == oldSelf.quarantineRequest",message="a changed quarantineRequest needs a new id"
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

	// BMCSetup is Auto or Never: whether the agent of this server, once accepted, may set up an account at a BMC that spec.bmc does not declare. Default: Auto.
	// +optional
	BMCSetup BMCSetup `json:"bmcSetup,omitempty"`

	// BMCRequest is a person's one-time wish; see `ingot bmc`.
	// +optional
	BMCRequest *BMCRequest `json:"bmcRequest,omitempty"`

	// Identity declares how the machine is recognised at its first boot.
	// +optional
	Identity *Identity `json:"identity,omitempty"`

	// BootMode is how the firmware netboots. Default: what the machine was last seen to do.
	// +optional
	BootMode BootMode `json:"bootMode,omitempty"`

	// Location says where the machine stands.
	// +optional
	Location *Location `json:"location,omitempty"`

	// Cables says where the ports of the server are to be plugged in. The condition Cabled compares that with what its agent hears over LLDP, before the
	// server is accepted too. It is a help for people: what a switch says over LLDP proves nothing, and decides nothing.
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=mac
	// +optional
	Cables []Cable `json:"cables,omitempty"`

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

	// AcceptRequest is a person's one-time yes; see `ingot accept`.
	// +optional
	AcceptRequest *AcceptRequest `json:"acceptRequest,omitempty"`

	// QuarantineRequest is a person's one-time wish; see `ingot quarantine` and `ingot lift`.
	// +optional
	QuarantineRequest *QuarantineRequest `json:"quarantineRequest,omitempty"`

	// ReleaseRequest is a person's one-time word; see `ingot release`.
	// +optional
	ReleaseRequest *ReleaseRequest `json:"releaseRequest,omitempty"`

	// OwnerRequest is a person's one-time word; see `ingot adopt`.
	// +optional
	OwnerRequest *OwnerRequest `json:"ownerRequest,omitempty"`

	// IgnoredDisks are never touched, and do not keep the server from becoming Available. Disks that are not the server's own
	// (removable, fabric, shared, without a WWID) are never touched in any case; named here they are not waited for either.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	IgnoredDisks []DiskSelector `json:"ignoredDisks,omitempty"`

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

// Server is one physical machine. Its name is chosen by the operator or random; it is never derived from hardware and never changes.
//
// +kubebuilder:object:root=true
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io/move="
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
