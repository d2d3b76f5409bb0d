// Package reasons is the one list of reasons that conditions, events, logs, metrics, the CLI and the UI share, and of condition types.
//
// It is a leaf (layer 0): standard library only.
package reasons

// Types of conditions of a Server.
const (
	// Ready sums up: the server is as the spec wants it, or says what is missing.
	Ready = "Ready"
	// Registered is true once an agent reported the server's inventory.
	Registered = "Registered"
	// BMCReachable is true while the BMC answers and its answers can be believed.
	BMCReachable = "BMCReachable"
	// BMCAccount says how Ingot's own account at the BMC fares; absent where it has none and sets none up.
	BMCAccount = "BMCAccount"
	// PowerReady is true when the last power request was done and read back.
	PowerReady = "PowerReady"
	// IdentityUnique is false while evidence points to more than one Server, or more than one machine claims a boot.
	IdentityUnique = "IdentityUnique"
	// Cabled is true while the agent hears the switch ports that spec.cables plans; absent where it plans none.
	Cabled = "Cabled"
	// Clean is true once every own disk is covered by a receipt that was found good.
	Clean = "Clean"
	// BootExpected says how the boot that Ingot started fares; true when none is needed or it was claimed.
	BootExpected = "BootExpected"
	// Schedulable is false while the server is cordoned, quarantined or paused.
	Schedulable = "Schedulable"
	// Provisioned is true once the workload of the claim proved that it is installed; absent without a claim.
	Provisioned = "Provisioned"
	// Released says how the release fares; absent without one.
	Released = "Released"
	// Bound is a condition of a ServerClaim: true once both sides of the binding are written.
	Bound = "Bound"
	// HandedOver says how a hand-over to another installation fares; absent without one.
	HandedOver = "HandedOver"
	// Resolved is a condition of an Environment of Talos: true once its files are known and pinned.
	Resolved = "Resolved"
)

// Reasons. Each is used with one polarity only.
const (
	// NotAccepted waits for a person: `ingot accept SERVER`.
	NotAccepted = "NotAccepted"
	// NotRegistered waits for the machine to netboot and its agent to report.
	NotRegistered = "NotRegistered"
	// InventoryReported is the reason for Registered.
	InventoryReported = "InventoryReported"
	// Accepted: the operator said yes; this boot is not proven to be the server's own.
	Accepted = "Accepted"
	// AcceptRequestExpired: the gesture was older than ten minutes before it could count.
	AcceptRequestExpired = "AcceptRequestExpired"
	// EvidenceNeeded: the server is accepted, and Ingot has no record of it; a person or a proven boot with blank disks must come first.
	EvidenceNeeded = "EvidenceNeeded"
	// Restored: the record comes from a backup and may be older than the machine.
	Restored = "Restored"
	// Recreated: the Server was made anew with a record of this installation, of which nobody knows how old it is.
	Recreated = "Recreated"
	// Adopted: a person took the server over though the installation before did not let it go; its record may be older than the machine.
	Adopted = "Adopted"
	// HandOverWaits: clusterctl moves the server's claim, and the server is not ready to be let go.
	HandOverWaits = "HandOverWaits"
	// OwnerRequestExpired: the gesture of `ingot adopt` was dropped.
	OwnerRequestExpired = "OwnerRequestExpired"
	// Claimed: a workload owns the server; its disks are out of reach.
	Claimed = "Claimed"
	// Available: clean, off, and free to be claimed.
	Available = "Available"

	// OtherDHCPServer: somebody else gives addresses on a network where Ingot does. Machines may boot what that one says.
	OtherDHCPServer = "OtherDHCPServer"
	// SeveralDHCPServers: beside Ingot, which only names boot files, more than one server gives addresses.
	SeveralDHCPServers = "SeveralDHCPServers"
	// NoDHCPServer: Ingot only names boot files, and nobody gives addresses.
	NoDHCPServer = "NoDHCPServer"
	// OtherBootServer: somebody else names boot files, too.
	OtherBootServer = "OtherBootServer"
	// DHCPAsExpected: the four above are over.
	DHCPAsExpected = "DHCPAsExpected"

	// Wiped is the reason for Clean.
	Wiped = "Wiped"
	// NeverWiped: the server is not accepted or not wiped yet.
	NeverWiped = "NeverWiped"
	// DataNeedsConfirmation: own disks hold data that no record covers; a person confirms them by name.
	DataNeedsConfirmation = "DataNeedsConfirmation"
	// DisksBlocked: there are disks that are not the server's own and that nobody named as ignored.
	DisksBlocked = "DisksBlocked"
	// DisksChanged: the receipt does not cover a disk that the server has now.
	DisksChanged = "DisksChanged"
	// NoDisks: the machine shows no disk of its own, so there is nothing to wipe or to install to.
	NoDisks = "NoDisks"
	// DestructiveLimit: as many wipes as allowed were granted in the last hour.
	DestructiveLimit = "DestructiveLimit"
	// DryRun: Ingot was started with --dry-run and grants nothing.
	DryRun = "DryRun"
	// WipeGranted: the grant is recorded; the agent gets it when it asks.
	WipeGranted = "WipeGranted"
	// WipeRunning: the agent works on the disks.
	WipeRunning = "WipeRunning"
	// ReceiptJudged: the receipt is good; the machine shall prove by switching itself off that it was the one.
	ReceiptJudged = "ReceiptJudged"
	// WipeFailed: a disk could not be erased, or lied about it.
	WipeFailed = "WipeFailed"
	// WipeTimeout: boots in a row ended without a receipt.
	WipeTimeout = "WipeTimeout"
	// OffNotProven: the agent was told to switch the machine off, and the BMC does not read off.
	OffNotProven = "OffNotProven"
	// EraseNotKept: the signed erase record could not be written, so the wipe does not count yet; the message says why.
	EraseNotKept = "EraseNotKept"

	// BootNotNeeded is a reason for BootExpected.
	BootNotNeeded = "BootNotNeeded"
	// BootClaimed: the agent of the expected boot is there.
	BootClaimed = "BootClaimed"
	// BootRunning: the machine is being switched, or on its way.
	BootRunning = "BootRunning"
	// BootNotHonored: the machine did not come up in the agent before the deadline.
	BootNotHonored = "BootNotHonored"
	// BootVoided: two claimants, or two machines that asked for its script.
	BootVoided = "BootVoided"
	// AwaitingPower: Ingot must start a boot and may not: the server declares no BMC and its agent is not there, or a person switched it off.
	AwaitingPower = "AwaitingPower"

	// Schedulable is True for this reason.
	NothingAgainst = "NothingAgainst"
	// Cordoned: the operator keeps it out of new claims.
	Cordoned = "Cordoned"
	// Quarantined: not to be allocated; the message says why.
	Quarantined = "Quarantined"
	// Paused: the annotation metal.ingot.dev/paused stops everything that Ingot would begin by itself.
	Paused = "Paused"
	// QuarantineByPerson is the recorded reason of `ingot quarantine`.
	QuarantineByPerson = "QuarantineByPerson"
	// UnmanagedHere: another installation manages the server.
	UnmanagedHere = "UnmanagedHere"
	// Unique is the reason for IdentityUnique.
	Unique = "Unique"
	// IdentityConflict: evidence points to more than one Server; no tasks, no merge.
	IdentityConflict = "IdentityConflict"
	// UnknownMachine is a machine that no Server describes.
	UnknownMachine = "UnknownMachine"
	// BootUnsupported: this pxe-server cannot give the machine what it shall boot: files for another architecture, or a target of a newer controller.
	BootUnsupported = "BootUnsupported"
	// AgentImageMissing: this pxe-server has no agent image for the machine's architecture.
	AgentImageMissing = "AgentImageMissing"
	// ControllerAway: the pxe-server cannot hear its controller, so it begins nothing; when it has never heard it, it cannot even tell machines apart.
	ControllerAway = "ControllerAway"
	// LocalDiskPreferred: the machine has an operating system and nobody accepted it, so it is left alone.
	LocalDiskPreferred = "LocalDiskPreferred"
	// InventoryTruncated: the agent reported more than is kept.
	InventoryTruncated = "InventoryTruncated"
	// WaitingForAcceptance: the agent waits, since no disk holds an operating system.
	WaitingForAcceptance = "WaitingForAcceptance"

	// BindingSeen: both sides of the binding are written.
	BindingSeen = "BindingSeen"
	// BindingIncomplete: the server's side is written and the claim's is not seen yet.
	BindingIncomplete = "BindingIncomplete"
	// ClaimMissing: the claim that the server is bound to is gone without having been released; a person decides.
	ClaimMissing = "ClaimMissing"
	// NoMatchingServer: no server fits the claim now; status.unfit says why for each.
	NoMatchingServer = "NoMatchingServer"
	// ClassMissing: the claim names a ServerClass that does not exist.
	ClassMissing = "ClassMissing"
	// NamespaceNotAllowed: the class does not let the claim's namespace take servers.
	NamespaceNotAllowed = "NamespaceNotAllowed"
	// EnvironmentNotAllowed: the class does not allow the Environment that the claim or the Server names.
	EnvironmentNotAllowed = "EnvironmentNotAllowed"
	// EnvironmentMissing: nothing says what to boot, or the Environment does not exist.
	EnvironmentMissing = "EnvironmentMissing"
	// EnvironmentUnsupported: the Environment has nothing for the server's architecture.
	EnvironmentUnsupported = "EnvironmentUnsupported"
	// ConfigMissing: the claim's Secret with the machine config is absent or lacks its key.
	ConfigMissing = "ConfigMissing"
	// ConfigInvalid: the patches cannot be applied to the machine config, or the operating system would not take what comes out.
	ConfigInvalid = "ConfigInvalid"
	// TrustNotReachable: the class asks for a trust level that this server cannot prove.
	TrustNotReachable = "TrustNotReachable"
	// RequirementUnmet: the inventory does not fit the class.
	RequirementUnmet = "RequirementUnmet"
	// LabelsUnmet: the labels of the server do not fit the class.
	LabelsUnmet = "LabelsUnmet"
	// OtherServerWanted: the claim names another server.
	OtherServerWanted = "OtherServerWanted"
	// NotReady: the server is not clean and ready yet.
	NotReady = "NotReady"
	// InvalidClass: an expression of the class cannot be evaluated.
	InvalidClass = "InvalidClass"
	// ClassReady is the reason for Ready of a ServerClass.
	ClassReady = "ClassReady"
	// Provisioning: the server boots, installs and configures its operating system.
	Provisioning = "Provisioning"
	// Installed: the operating system proved that it is installed; it has not proven to run from its disk yet.
	Installed = "Installed"
	// Running: the workload proved that it runs.
	Running = "Running"
	// WorkloadSilent: the workload proved that it runs and promised to tell so again, and it does not; or it is installed and never told that it runs.
	WorkloadSilent = "WorkloadSilent"
	// DiskBootFailed: the installed system does not boot from its disk.
	DiskBootFailed = "DiskBootFailed"
	// DiskLost: the disk of the installed system shows blank; it is installed again.
	DiskLost = "DiskLost"
	// Releasing: the claim is gone; the machine is shut down.
	Releasing = "Releasing"
	// ReleasePaused: the claim's Cluster is paused or missing, or the object is being moved, so nothing is released.
	ReleasePaused = "ReleasePaused"
	// FencingUnconfirmed: nothing proves that the machine no longer runs the workload; a person can confirm it.
	FencingUnconfirmed = "FencingUnconfirmed"
	// Fenced: the machine is proven not to run the workload any more.
	Fenced = "Fenced"
	// KeptForReuse: a released server is kept, not wiped, for the machine that replaces the one that had it.
	KeptForReuse = "KeptForReuse"
	// Reused: the claim took the server over from another machine of the same owner, without a wipe.
	Reused = "Reused"
	// ReleaseRequestExpired: the gesture was dropped.
	ReleaseRequestExpired = "ReleaseRequestExpired"
	// ConfigReleased: the machine config left for the boot.
	ConfigReleased = "ConfigReleased"
	// ConfigRefused: somebody asked for machine config with a capability that does not hold, or no longer.
	ConfigRefused = "ConfigRefused"
	// ConfigContested: a second address asked for the machine config of one boot; the boot is void.
	ConfigContested = "ConfigContested"
	// ConfigChanged: the machine config changed after it had been released in this boot; the boot begins anew.
	ConfigChanged = "ConfigChanged"
	// AssetsCached is the reason for Ready of an Environment.
	AssetsCached = "AssetsCached"
	// AssetsFetching: files of the Environment are still being fetched.
	AssetsFetching = "AssetsFetching"
	// AssetsFailed: a file cannot be had, or is not what its digest says.
	AssetsFailed = "AssetsFailed"
	// AssetsChanged: the source has other bytes now than those that were pinned; they are refused.
	AssetsChanged = "AssetsChanged"
	// Pinned is the reason for Resolved.
	Pinned = "Pinned"
	// PinForgotten: a person wants the Environment resolved anew.
	PinForgotten = "PinForgotten"
	// Resolving: the Image Factory is being asked what the release is made of.
	Resolving = "Resolving"
	// FactoryUnreachable: the Image Factory does not answer, or cannot now.
	FactoryUnreachable = "FactoryUnreachable"
	// FactoryRefused: the Image Factory wants a licence or credentials, or what answers is no Image Factory.
	FactoryRefused = "FactoryRefused"
	// SchematicRefused: the Image Factory does not take the schematic.
	SchematicRefused = "SchematicRefused"
	// ReleaseMissing: the Image Factory has no such version or schematic.
	ReleaseMissing = "ReleaseMissing"
	// KernelLineRefused: the kernel line of the release is too long, or cannot be netbooted.
	KernelLineRefused = "KernelLineRefused"
	// ResolveFailed: Ingot itself could not do it, for lack of room on its disk for instance.
	ResolveFailed = "ResolveFailed"
	// ProofMissing: nothing could prove that the claim's Talos is installed: its talosconfig is absent or of no use.
	ProofMissing = "ProofMissing"
	// ProofRefused: what the machine's Talos answers, or something in its place, does not prove that it is installed or runs; the message says why.
	ProofRefused = "ProofRefused"
	// EtcdBootstrapped: the claim's Talos has begun the etcd of its cluster.
	EtcdBootstrapped = "EtcdBootstrapped"
	// EtcdBootstrapRefused: the claim's Talos does not begin the etcd of its cluster; the message says why.
	EtcdBootstrapRefused = "EtcdBootstrapRefused"
	// EtcdLost: the installation that began the etcd of the claim's cluster is gone, and no other one is told to begin it.
	EtcdLost = "EtcdLost"
	// EtcdLeft: the server of a deleted claim is no member of its cluster's etcd any more.
	EtcdLeft = "EtcdLeft"
	// EtcdMemberKept: the server of a deleted claim is a member of its cluster's etcd and cannot leave it now; the message says why.
	EtcdMemberKept = "EtcdMemberKept"
	// ConfigDoubted: the machine itself says that it could not load its machine config, or does not take it. Nothing proves that.
	ConfigDoubted = "ConfigDoubted"

	// MachineMissing: no Machine of Cluster API owns the IngotMachine.
	MachineMissing = "MachineMissing"
	// ClusterMissing: the Cluster that a machine belongs to does not exist, or no Cluster owns the IngotCluster.
	ClusterMissing = "ClusterMissing"
	// ClusterNotProvisioned: Cluster API has not taken over the infrastructure of the machine's Cluster yet.
	ClusterNotProvisioned = "ClusterNotProvisioned"
	// BootstrapDataMissing: the Machine does not name the Secret with its machine config yet.
	BootstrapDataMissing = "BootstrapDataMissing"
	// Claiming: the claim of a machine is made and has no answer yet.
	Claiming = "Claiming"
	// ClaimNotOurs: a claim of the machine's name belongs to somebody else.
	ClaimNotOurs = "ClaimNotOurs"
	// EndpointMissing: nothing says where the API of a cluster is to be reached.
	EndpointMissing = "EndpointMissing"
	// EndpointKnown is the reason for Ready of an IngotCluster.
	EndpointKnown = "EndpointKnown"
	// PowerCycling: an unhealthy machine's server is switched off and on.
	PowerCycling = "PowerCycling"
	// PowerCycled: it was; the machine may take its time to be healthy again.
	PowerCycled = "PowerCycled"
	// PowerCycleFailed: the BMC did not confirm the power cycle of an unhealthy machine's server.
	PowerCycleFailed = "PowerCycleFailed"
	// PowerCycleLimit: the server was cycled three times within an hour, and its machine is unhealthy again.
	PowerCycleLimit = "PowerCycleLimit"
	// OtherMemberCycles: another control plane of the cluster is being remediated.
	OtherMemberCycles = "OtherMemberCycles"
	// StillUnhealthy: the machine is unhealthy after every power cycle that its remediation allows.
	StillUnhealthy = "StillUnhealthy"
	// OtherFailureDomain: the claim asks for another failure domain than the server's.
	OtherFailureDomain = "OtherFailureDomain"
	// SpreadUnmet: the server would put too many machines of a cluster into one failure domain.
	SpreadUnmet = "SpreadUnmet"

	// CabledAsPlanned is the reason for Cabled.
	CabledAsPlanned = "CabledAsPlanned"
	// WrongCable: a port of the server is plugged in elsewhere than planned, or is not there.
	WrongCable = "WrongCable"
	// NeighborSilent: nothing was heard over LLDP on a port whose cable is planned.
	NeighborSilent = "NeighborSilent"

	// BMCAnswers is the reason for BMCReachable.
	BMCAnswers = "BMCAnswers"
	// NoBMC: the Server declares none.
	NoBMC = "NoBMC"
	// BMCNotAsked: no reading has come in yet.
	BMCNotAsked = "BMCNotAsked"
	// BMCUnreachable: no answer within the time limit.
	BMCUnreachable = "BMCUnreachable"
	// BMCUnauthorized: it refused the credentials.
	BMCUnauthorized = "BMCUnauthorized"
	// BMCUnsupported: it answered and cannot do what was asked.
	BMCUnsupported = "BMCUnsupported"
	// BMCLied: it acknowledged and reading back shows otherwise.
	BMCLied = "BMCLied"
	// BMCCertificateChanged: its certificate is not the pinned one; no credentials were sent.
	BMCCertificateChanged = "BMCCertificateChanged"
	// CredentialsMissing: the Secret is absent or lacks a key.
	CredentialsMissing = "CredentialsMissing"

	// AccountInUse is the reason for BMCAccount.
	AccountInUse = "AccountInUse"
	// AccountRunning: an account is being set up, checked, or its predecessor dropped; the message says what is waited for.
	AccountRunning = "AccountRunning"
	// AccountFailed: an account could not be set up, checked or dropped; the message says why. What worked before works on.
	AccountFailed = "AccountFailed"
	// BMCRequestExpired: the wish was older than ten minutes before it could start.
	BMCRequestExpired = "BMCRequestExpired"

	// PowerRequestDone is the reason for PowerReady.
	PowerRequestDone = "PowerRequestDone"
	// NoPowerRequest: nobody asked for anything.
	NoPowerRequest = "NoPowerRequest"
	// PowerRequestRunning: it was begun and is not read back yet.
	PowerRequestRunning = "PowerRequestRunning"
	// PowerRequestExpired: it was older than ten minutes before it could start.
	PowerRequestExpired = "PowerRequestExpired"
	// PowerRequestFailed: the BMC could not do it.
	PowerRequestFailed = "PowerRequestFailed"
)
