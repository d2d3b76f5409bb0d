package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// QuantityRange is an inclusive range; an absent end is open.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || quantity(string(self.min)).compareTo(quantity(string(self.max))) <= 0",message="min is greater than max"
type QuantityRange struct {
	// Min is the least that fits.
	// +optional
	Min *resource.Quantity `json:"min,omitempty"`
	// Max is the most that fits.
	// +optional
	Max *resource.Quantity `json:"max,omitempty"`
}

// CountRange is an inclusive range of whole numbers; an absent end is open.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || self.min <= self.max",message="min is greater than max"
type CountRange struct {
	// Min is the least that fits.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Min *int32 `json:"min,omitempty"`
	// Max is the most that fits.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Max *int32 `json:"max,omitempty"`
}

// DiskRequirement asks for disks that are alike.
type DiskRequirement struct {
	// Count of disks that must fit the rest. Default: at least one.
	// +optional
	Count *CountRange `json:"count,omitempty"`
	// Size of each such disk.
	// +optional
	Size *QuantityRange `json:"size,omitempty"`
	// Transports that count, for instance `nvme`; empty is any.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=16
	// +listType=set
	// +optional
	Transports []string `json:"transports,omitempty"`
	// Rotational, when set, asks for spinning (true) or solid (false) disks.
	// +optional
	Rotational *bool `json:"rotational,omitempty"`
}

// NICRequirement asks for network interfaces.
type NICRequirement struct {
	// Count of interfaces that must fit the rest. Default: at least one.
	// +optional
	Count *CountRange `json:"count,omitempty"`
	// MinSpeedMbps of each such interface's link.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinSpeedMbps int32 `json:"minSpeedMbps,omitempty"`
}

// Requirements over the inventory. All that are set must hold.
type Requirements struct {
	// Arch is amd64 or arm64.
	// +kubebuilder:validation:Enum=amd64;arm64
	// +optional
	Arch string `json:"arch,omitempty"`
	// Manufacturer is a glob over the system manufacturer, for instance `Dell*`.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// Product is a glob over the system product, for instance `PowerEdge R6?5`.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Product string `json:"product,omitempty"`
	// Cores of all CPUs together.
	// +optional
	Cores *CountRange `json:"cores,omitempty"`
	// Memory installed.
	// +optional
	Memory *QuantityRange `json:"memory,omitempty"`
	// Disks that the server must have of its own.
	// +kubebuilder:validation:MaxItems=6
	// +listType=atomic
	// +optional
	Disks []DiskRequirement `json:"disks,omitempty"`
	// NICs that the server must have.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	NICs []NICRequirement `json:"nics,omitempty"`
	// CEL expressions over `inventory` (a ServerInventory spec) and `labels`; each must be true.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=2048
	// +listType=atomic
	// +optional
	CEL []string `json:"cel,omitempty"`
}

// WipeLevel is how thoroughly disks are erased.
//
// +kubebuilder:validation:Enum=Quick;Clear;Purge
type WipeLevel string

const (
	// WipeQuick removes what makes the disk look used: partition tables, file system and RAID signatures.
	WipeQuick WipeLevel = "Quick"
	// WipeClear makes all user data unreadable through the disk's ordinary interface (NIST SP 800-88 Clear).
	WipeClear WipeLevel = "Clear"
	// WipePurge makes recovery infeasible with laboratory means (NIST SP 800-88 Purge).
	WipePurge WipeLevel = "Purge"
)

// IdlePolicy is what Available servers do.
//
// +kubebuilder:validation:Enum=Warm;Off
type IdlePolicy string

const (
	// IdleWarm keeps the agent waiting: fast to provision.
	IdleWarm IdlePolicy = "Warm"
	// IdleOff keeps the server switched off.
	IdleOff IdlePolicy = "Off"
)

// ReusePolicy says whether a server may go from one machine to the next without a wipe.
//
// +kubebuilder:validation:Enum=Never;SameOwner
type ReusePolicy string

const (
	// ReuseNever wipes every server that is given back.
	ReuseNever ReusePolicy = "Never"
	// ReuseSameOwner keeps a server that was given back for ten minutes for a machine of the same Cluster and of the same MachineDeployment or control plane, in the same
	// namespace, if both claims say `reuse`. Nobody else gets it without a wipe.
	ReuseSameOwner ReusePolicy = "SameOwner"
)

// ConfigDelivery is how machine config travels to a server.
//
// +kubebuilder:validation:Enum=HTTPS;PlainHTTP
type ConfigDelivery string

const (
	// DeliverHTTPS delivers over TLS only.
	DeliverHTTPS ConfigDelivery = "HTTPS"
	// DeliverPlainHTTP delivers over plain HTTP as well.
	DeliverPlainHTTP ConfigDelivery = "PlainHTTP"
)

// NamespaceSelection says which namespaces may use something.
//
// +kubebuilder:validation:XValidation:rule="(has(self.names) ? 1 : 0) + (has(self.selector) ? 1 : 0) + (has(self.all) && self.all ? 1 : 0) == 1",message="set exactly one of all: true, names and selector"
type NamespaceSelection struct {
	// All namespaces.
	// +optional
	All bool `json:"all,omitempty"`
	// Names of namespaces.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	// +optional
	Names []string `json:"names,omitempty"`
	// Selector over labels of namespaces.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// DiskPreference says which of several disks that fit is taken.
//
// +kubebuilder:validation:Enum=Smallest;Largest
type DiskPreference string

const (
	// PreferSmallest takes the smallest disk.
	PreferSmallest DiskPreference = "Smallest"
	// PreferLargest takes the largest disk.
	PreferLargest DiskPreference = "Largest"
)

// InstallDisk chooses the disk that the operating system is installed on: one of the server's own that fits all fields which are set. It is chosen when the
// machine config is made, and handed over by an identifier that stays when disks are renamed.
//
// +kubebuilder:validation:MinProperties=1
type InstallDisk struct {
	// WWID of the disk.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	WWID string `json:"wwid,omitempty"`
	// Serial of the disk.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
	// Model is a glob over the model, for instance `SAMSUNG MZ*`.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Model string `json:"model,omitempty"`
	// Transports that count, for instance `nvme`; empty is any.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=16
	// +listType=set
	// +optional
	Transports []string `json:"transports,omitempty"`
	// Rotational, when set, asks for a spinning (true) or solid (false) disk.
	// +optional
	Rotational *bool `json:"rotational,omitempty"`
	// Size of the disk.
	// +optional
	Size *QuantityRange `json:"size,omitempty"`
	// Prefer says which one is taken when several fit: the Smallest (default) or the Largest; of the same size, the first by WWID.
	// +optional
	Prefer DiskPreference `json:"prefer,omitempty"`
}

// HostnameSource says what a machine is called.
//
// +kubebuilder:validation:Enum=Server;Claim;Keep
type HostnameSource string

const (
	// HostnameServer is the name of the Server.
	HostnameServer HostnameSource = "Server"
	// HostnameClaim is the name of the ServerClaim.
	HostnameClaim HostnameSource = "Claim"
	// HostnameKeep leaves the machine config as it is.
	HostnameKeep HostnameSource = "Keep"
)

// TalosSettings are what Ingot sets in machine configs of Talos, before any patch. What is not set here is left as the machine config has it.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.kubeSpan) && self.kubeSpan && has(self.discovery) && !self.discovery)",message="kubeSpan needs discovery"
type TalosSettings struct {
	// Hostname is Server, Claim or Keep. Default: the name of the Server where the machine config has no hostname.
	// +optional
	Hostname HostnameSource `json:"hostname,omitempty"`
	// KubeSpan, when set, switches the WireGuard mesh of the nodes on or off. It needs discovery.
	// +optional
	KubeSpan *bool `json:"kubeSpan,omitempty"`
	// KubePrism, when set, switches the load balancer for the Kubernetes API on each node on or off.
	// +optional
	KubePrism *bool `json:"kubePrism,omitempty"`
	// Discovery, when set, switches the discovery of cluster members on or off.
	// +optional
	Discovery *bool `json:"discovery,omitempty"`
}

// ServerClassSpec is a named requirement, who may use it, and defaults.
type ServerClassSpec struct {
	// Selector over labels of Servers. Empty selects all.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// Requirements over the inventory.
	// +optional
	Requirements Requirements `json:"requirements,omitempty"`
	// AllowedNamespaces says which namespaces may claim from this class. Absent: none may.
	// +optional
	AllowedNamespaces *NamespaceSelection `json:"allowedNamespaces,omitempty"`
	// AllowedEnvironments are globs over names of Environments. Empty: only EnvironmentRef.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +optional
	AllowedEnvironments []string `json:"allowedEnvironments,omitempty"`
	// EnvironmentRef is the Environment unless the Server names one.
	// +optional
	EnvironmentRef *NameRef `json:"environmentRef,omitempty"`
	// Patches are strategic merge patches (YAML) for the machine config; they apply before those of the claim.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=65536
	// +listType=atomic
	// +optional
	Patches []string `json:"patches,omitempty"`
	// InstallDisk chooses the disk that Talos is installed on, unless the claim chooses one or a patch says machine.install.disk or diskSelector.
	// +optional
	InstallDisk *InstallDisk `json:"installDisk,omitempty"`
	// Talos is what Ingot sets in machine configs of Talos.
	// +optional
	Talos *TalosSettings `json:"talos,omitempty"`
	// MinimumTrust is the least trust level of a boot that may receive machine config: 1 expected boot, 2 BMC residency, 3 TPM, 4 measured boot.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4
	// +kubebuilder:default=1
	// +optional
	MinimumTrust int32 `json:"minimumTrust,omitempty"`
	// WipeLevel for servers of this class.
	// +kubebuilder:default=Clear
	// +optional
	WipeLevel WipeLevel `json:"wipeLevel,omitempty"`
	// IdlePolicy for servers of this class.
	// +kubebuilder:default=Off
	// +optional
	IdlePolicy IdlePolicy `json:"idlePolicy,omitempty"`
	// Reuse is Never or SameOwner: whether the machine that replaces another one of the same owner may have its server without a wipe. Default: Never.
	// +optional
	Reuse ReusePolicy `json:"reuse,omitempty"`
	// ConfigDelivery says how machine config may travel: HTTPS (default) with a certificate of Ingot's own authority, or PlainHTTP, which everybody on the
	// boot segment can read. PlainHTTP is for operating systems that cannot be given the authority before they fetch.
	// +kubebuilder:default=HTTPS
	// +optional
	ConfigDelivery ConfigDelivery `json:"configDelivery,omitempty"`
	// SpreadKey is a label of Servers over which claims of one owner are spread.
	// +kubebuilder:validation:MaxLength=317
	// +optional
	SpreadKey string `json:"spreadKey,omitempty"`
}

// ServerClassStatus counts what there is.
type ServerClassStatus struct {
	// Total servers that fit.
	// +optional
	Total int32 `json:"total,omitempty"`
	// Available servers: clean and ready now.
	// +optional
	Available int32 `json:"available,omitempty"`
	// Claimed servers.
	// +optional
	Claimed int32 `json:"claimed,omitempty"`
	// Capacity that every server of this class has at least.
	// +optional
	Capacity map[string]resource.Quantity `json:"capacity,omitempty"`
	// Architectures of the servers of this class, such as amd64.
	// +kubebuilder:validation:MaxItems=8
	// +listType=set
	// +optional
	Architectures []string `json:"architectures,omitempty"`
	// Conditions say what is so and why.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ServerClass is a named requirement over inventory and labels, who may use it, and defaults.
//
// +kubebuilder:object:root=true
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io/move="
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=sclass,categories=metal
// +kubebuilder:printcolumn:name="Total",type=integer,JSONPath=`.status.total`
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=`.status.available`
// +kubebuilder:printcolumn:name="Claimed",type=integer,JSONPath=`.status.claimed`
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environmentRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ServerClass struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	Spec ServerClassSpec `json:"spec,omitempty"`
	// Status is what was observed.
	Status ServerClassStatus `json:"status,omitempty"`
}

// ServerClassList is a list of ServerClasses.
//
// +kubebuilder:object:root=true
type ServerClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServerClass `json:"items"`
}
