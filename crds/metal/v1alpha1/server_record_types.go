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
	// RequestID is the gesture that it rests on; empty when spec.accepted was set beforehand and every own disk proved blank.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	RequestID string `json:"requestID,omitempty"`
	// Level of the first wipe.
	// +optional
	Level WipeLevel `json:"level,omitempty"`
	// Disks are the disks whose data a person allowed to be erased. A disk that is not named here must prove blank in the very boot that may wipe it:
	// what one boot said of it counts for no other.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []DiskID `json:"disks,omitempty"`
}

// UnverifiedRecord says that the record may be older than the machine. Nothing is done to the server until evidence or a person ends it.
type UnverifiedRecord struct {
	// Reason is one of the reasons of Ingot, for instance Restored.
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// Since when.
	Since metav1.Time `json:"since"`
}

// BootPhase is how far an expected boot got.
//
// +kubebuilder:validation:Enum=SwitchingOff;SwitchingOn;Restarting;Booting;Claimed;Void
type BootPhase string

const (
	// BootSwitchingOff waits until the BMC reads off: the boot shall begin from a machine that is proven off.
	BootSwitchingOff BootPhase = "SwitchingOff"
	// BootSwitchingOn ordered power-on with the network first.
	BootSwitchingOn BootPhase = "SwitchingOn"
	// BootRestarting waits until the agent of a server without a BMC acknowledges that it restarts the machine from the network.
	BootRestarting BootPhase = "Restarting"
	// BootBooting read on, or was acknowledged, and waits for the agent.
	BootBooting BootPhase = "Booting"
	// BootClaimed has its first and only claimant: trust level 1.
	BootClaimed BootPhase = "Claimed"
	// BootVoid is over: it failed, a second claimant came, or it did what it was for.
	BootVoid BootPhase = "Void"
)

// BootRecord is the boot that Ingot started and expects: trust level 1 rests on it, so it is no status.
type BootRecord struct {
	// ID names the boot; it is random and on the machine's kernel line.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Phase it reached.
	Phase BootPhase `json:"phase"`
	// Attempt counts boots for the same purpose; it starts again when one did what it was for, or a person asked.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// StartedAt is when the first order was recorded; At is when Phase was reached.
	StartedAt metav1.Time `json:"startedAt"`
	// At is when Phase was reached.
	At metav1.Time `json:"at"`
	// Deadline is when the agent must have claimed it, or the operating system must have proven that it is installed.
	Deadline metav1.Time `json:"deadline"`
	// Target is what the boot is for: Agent (also when empty) or OS.
	// +optional
	Target BootTarget `json:"target,omitempty"`
	// BindingID is the binding that the boot is for; set when Target is OS, and for an agent that looks after a disk that does not boot.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	BindingID string `json:"bindingID,omitempty"`
	// RestartedBy is the SHA-256 of the public key (SPKI) of the agent that acknowledged the restart, lower-case hexadecimal; empty for a boot that a BMC began.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	RestartedBy string `json:"restartedBy,omitempty"`
	// Config is the release of the machine config in this boot; absent until it was released.
	// +optional
	Config *ConfigRelease `json:"config,omitempty"`
	// Claimant is the SHA-256 of the public key (SPKI) of the agent that claimed it first, lower-case hexadecimal.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Claimant string `json:"claimant,omitempty"`
	// ClaimedAt is when.
	// +optional
	ClaimedAt *metav1.Time `json:"claimedAt,omitempty"`
	// Reason why it is void.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Reason string `json:"reason,omitempty"`
}

// AgentRecord is the agent that waits on an accepted server without a BMC: the one that enrolled for it last. Nobody else is told to restart the machine.
type AgentRecord struct {
	// BootID is the boot that it runs in.
	// +kubebuilder:validation:MaxLength=63
	BootID string `json:"bootID"`
	// Key is the SHA-256 of its public key (SPKI), lower-case hexadecimal.
	// +kubebuilder:validation:MaxLength=64
	Key string `json:"key"`
	// HeardAt is when a replica heard from it. It is written at most once in two minutes.
	HeardAt metav1.Time `json:"heardAt"`
}

// ConfigRelease says that the machine config left for a boot. The same bytes may leave again until that boot is over.
type ConfigRelease struct {
	// SHA256 of the bytes, lower-case hexadecimal.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256"`
	// Source is the address that it was released to first; no other gets it.
	// +kubebuilder:validation:MaxLength=64
	Source string `json:"source"`
	// At is when it was released first.
	At metav1.Time `json:"at"`
}

// ClaimRecord is the server's side of a binding. It is written before the claim's side.
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
	// Class that the server was taken from.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Class string `json:"class,omitempty"`
	// Environment that the server boots.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Environment string `json:"environment,omitempty"`
	// WipeLevel that the release will ask for.
	// +optional
	WipeLevel WipeLevel `json:"wipeLevel,omitempty"`
	// PlainConfig lets the machine config leave over plain HTTP, as the class allowed when the server was taken.
	// +optional
	PlainConfig bool `json:"plainConfig,omitempty"`
	// ReuseOwner is whose machine may have the server after this one without a wipe: the Cluster, role and MachineDeployment of the claim, where class and claim allowed it when
	// the server was taken; empty when they did not.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	ReuseOwner string `json:"reuseOwner,omitempty"`
	// Reused is the release by which the server came here without a wipe; absent where it was wiped. What it allows to be wiped still is.
	// +optional
	Reused *ReleaseRecord `json:"reused,omitempty"`
	// At is when this side was written.
	At metav1.Time `json:"at"`
	// BoundAt is when both sides were seen. Before it nothing is begun on the server, so an ended claim leaves nothing to release.
	// +optional
	BoundAt *metav1.Time `json:"boundAt,omitempty"`
	// ConfigAt is when a machine config left first. Before it nothing of the workload can be on the disks, so its release lets nobody wipe data that shows on them.
	// +optional
	ConfigAt *metav1.Time `json:"configAt,omitempty"`
	// Cluster is the cluster of Talos machines that the claim's labels named when the server was taken; empty when they named none, or it boots something else.
	// Its control planes leave its etcd before they are given back.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Cluster string `json:"cluster,omitempty"`
	// LeavingAt is when it was decided that the server leaves that etcd, since its claim is deleted and nothing else holds it; absent again when something does.
	// +optional
	LeavingAt *metav1.Time `json:"leavingAt,omitempty"`
	// LeftAt is when nothing in the cluster held the deleted claim's server any more: it is no member of etcd, or the whole cluster goes.
	// +optional
	LeftAt *metav1.Time `json:"leftAt,omitempty"`
	// Etcd is the bootstrap of etcd that the claim asked for. It outlives a reinstallation, since a cluster's etcd is bootstrapped once.
	// +optional
	Etcd *EtcdRecord `json:"etcd,omitempty"`
}

// EtcdRecord is a bootstrap of etcd.
type EtcdRecord struct {
	// BootID is the boot that installed the Talos that is ordered to; no other one ever is.
	// +kubebuilder:validation:MaxLength=63
	BootID string `json:"bootID"`
	// At is when it was decided, before the first order.
	At metav1.Time `json:"at"`
	// DoneAt is when Talos had taken the order.
	// +optional
	DoneAt *metav1.Time `json:"doneAt,omitempty"`
}

// ReleaseProof says what proved that a machine no longer runs its workload.
//
// +kubebuilder:validation:Enum=PowerOff;Agent;Confirmed
type ReleaseProof string

const (
	// ProofPowerOff is the BMC, which read off after the release.
	ProofPowerOff ReleaseProof = "PowerOff"
	// ProofAgent is the agent of a server without a BMC, which enrolled after the release: the machine runs it, and not the workload.
	ProofAgent ReleaseProof = "Agent"
	// ProofConfirmed is a person: `ingot release --confirm-powered-off`.
	ProofConfirmed ReleaseProof = "Confirmed"
)

// ReleaseRecord says that the server was given back. It is kept until the wipe that follows is verified.
type ReleaseRecord struct {
	// Namespace of the claim that ended.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// Name of the claim that ended.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// BindingID of the binding that ended.
	// +kubebuilder:validation:MaxLength=63
	BindingID string `json:"bindingID"`
	// At is when the release was recorded.
	At metav1.Time `json:"at"`
	// Level of the wipe that follows.
	// +optional
	Level WipeLevel `json:"level,omitempty"`
	// Disks are the disks that the workload was given: those of the wipe before. Their data may go; a disk that was put in since needs a person's yes.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []DiskID `json:"disks,omitempty"`
	// OffAt is when the machine was proven not to run the workload any more; until then the binding stays.
	// +optional
	OffAt *metav1.Time `json:"offAt,omitempty"`
	// Proof of that.
	// +optional
	Proof ReleaseProof `json:"proof,omitempty"`
	// ReuseOwner is whose machine may have the server without a wipe until ReuseUntil; empty is nobody's.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	ReuseOwner string `json:"reuseOwner,omitempty"`
	// ReuseUntil is when the wipe begins if no such machine came; absent before the machine was proven off, and when the server is not kept for anybody.
	// +optional
	ReuseUntil *metav1.Time `json:"reuseUntil,omitempty"`
}

// DiskReceipt is what an agent says it did to one disk.
type DiskReceipt struct {
	// DiskID as in the grant.
	DiskID `json:",inline"`
	// Model of the disk.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Model string `json:"model,omitempty"`
	// SizeBytes of the disk.
	// +optional
	SizeBytes int64 `json:"sizeBytes,omitempty"`
	// Methods that were used, in order: NVMeFormat, NVMeSanitize, ATASecurityErase, ATASanitize, Discard, ZeroOut, Overwrite, Signatures.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=32
	// +listType=atomic
	// +optional
	Methods []string `json:"methods,omitempty"`
	// Reached is the level that the methods reached; empty when none was.
	// +optional
	Reached WipeLevel `json:"reached,omitempty"`
	// BlocksRead is how many blocks were read back, and were as they should be.
	// +optional
	BlocksRead int64 `json:"blocksRead,omitempty"`
	// Seconds that it took.
	// +optional
	Seconds int64 `json:"seconds,omitempty"`
	// Error says why the disk is not clean; empty when it is.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Error string `json:"error,omitempty"`
}

// WipeReceipt is what the agent reported at the end of a wipe. It is judged by lifecycle, never taken as it is.
type WipeReceipt struct {
	// Generation that it answers.
	Generation int64 `json:"generation"`
	// At is when it came in.
	At metav1.Time `json:"at"`
	// Disks, one row for each that was worked on.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []DiskReceipt `json:"disks,omitempty"`
	// Firmware says what became of the boot entries, for people.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Firmware string `json:"firmware,omitempty"`
}

// WipeRecord is the wipe that was last granted, and whether a receipt proved it done.
type WipeRecord struct {
	// ID names the wipe.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Level that was granted.
	Level WipeLevel `json:"level"`
	// Disks that the grant names, all of the server's own.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []DiskID `json:"disks,omitempty"`
	// GrantedAt is when it was granted.
	GrantedAt metav1.Time `json:"grantedAt"`
	// Generation counts hand-outs: one for each boot. A pair of id and generation is carried out at most once.
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
	// BootID is the one boot that may carry this generation out.
	// +kubebuilder:validation:MaxLength=63
	BootID string `json:"bootID"`
	// Receipt of this generation; absent until the agent reported.
	// +optional
	Receipt *WipeReceipt `json:"receipt,omitempty"`
	// VerifiedAt is when a receipt that covers every disk was found good, and the machine proved by switching itself off that it was the one. Without a
	// BMC nothing can read that: there it rests on the receipt of the first and only claimant of the boot that the agent acknowledged.
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
	// BindingID of the binding that it was installed for.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	BindingID string `json:"bindingID,omitempty"`
	// Environment that was booted.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Environment string `json:"environment,omitempty"`
	// Config is the release of the machine config that was applied.
	// +optional
	Config *ConfigRelease `json:"config,omitempty"`
	// RunningAt is when the installed system first proved that it runs from its disk.
	// +optional
	RunningAt *metav1.Time `json:"runningAt,omitempty"`
	// EverySeconds is how often the system promised to tell that it runs; 0 promises nothing.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	// +optional
	EverySeconds int32 `json:"everySeconds,omitempty"`
	// HeardAt is when a replica that does not lead heard from the system. It is written at most once in two minutes, or in two promised intervals if these
	// are longer. What the leader hears is not written down.
	// +optional
	HeardAt *metav1.Time `json:"heardAt,omitempty"`
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

// ServerRecord holds the facts that cannot be observed again. Only Ingot writes it: an admission policy refuses everybody else.
type ServerRecord struct {
	// Acceptance is the operator's yes.
	// +optional
	Acceptance *AcceptanceRecord `json:"acceptance,omitempty"`
	// Claim is the server's side of its binding.
	// +optional
	Claim *ClaimRecord `json:"claim,omitempty"`
	// Release is the release under way; absent once the wipe after it was verified.
	// +optional
	Release *ReleaseRecord `json:"release,omitempty"`
	// ReleaseRequest is the id of the last release request that was done or dropped.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ReleaseRequest string `json:"releaseRequest,omitempty"`
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
	// BMCAccount is Ingot's own account at the BMC.
	// +optional
	BMCAccount *BMCAccountRecord `json:"bmcAccount,omitempty"`
	// BMCRequest is the id of the last BMC request that was begun or dropped.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	BMCRequest string `json:"bmcRequest,omitempty"`
	// Boot is the boot that Ingot started and expects.
	// +optional
	Boot *BootRecord `json:"boot,omitempty"`
	// Agent is the agent that waits on a server without a BMC; absent while none does.
	// +optional
	Agent *AgentRecord `json:"agent,omitempty"`
	// Unverified says that the record may be older than the machine.
	// +optional
	Unverified *UnverifiedRecord `json:"unverified,omitempty"`
	// QuarantineRequest is the id of the last quarantine request that was done or dropped.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	QuarantineRequest string `json:"quarantineRequest,omitempty"`
	// AcceptRequest is the id of the last accept request that was done or dropped.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	AcceptRequest string `json:"acceptRequest,omitempty"`
	// OwnerRequest is the id of the last owner request that was done or dropped.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	OwnerRequest string `json:"ownerRequest,omitempty"`
	// ManagedBy is the one installation that acts on the server.
	// +optional
	ManagedBy *ManagedBy `json:"managedBy,omitempty"`
	// Power is the last power request.
	// +optional
	Power *PowerRecord `json:"power,omitempty"`
}
