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
	// PowerReady is true when the last power request was done and read back.
	PowerReady = "PowerReady"
	// IdentityUnique is false while evidence points to more than one Server.
	IdentityUnique = "IdentityUnique"
)

// Reasons. Each is used with one polarity only.
const (
	// NotAccepted waits for a person: `ingot accept SERVER`.
	NotAccepted = "NotAccepted"
	// NotRegistered waits for the machine to netboot and its agent to report.
	NotRegistered = "NotRegistered"
	// InventoryReported is the reason for Registered.
	InventoryReported = "InventoryReported"
	// Accepted: the operator said yes; what follows is not built yet in this release or is under way.
	Accepted = "Accepted"
	// UnmanagedHere: another installation manages the server.
	UnmanagedHere = "UnmanagedHere"
	// Unique is the reason for IdentityUnique.
	Unique = "Unique"
	// IdentityConflict: evidence points to more than one Server; no tasks, no merge.
	IdentityConflict = "IdentityConflict"
	// UnknownMachine is a machine that no Server describes.
	UnknownMachine = "UnknownMachine"
	// BootUnsupported: this pxe-server cannot give the machine what it shall boot: another architecture, or a target of a newer controller.
	BootUnsupported = "BootUnsupported"
	// ControllerAway: the pxe-server has not heard from its controller yet and so cannot tell machines apart.
	ControllerAway = "ControllerAway"
	// LocalDiskPreferred: the machine has an operating system and nobody accepted it, so it is left alone.
	LocalDiskPreferred = "LocalDiskPreferred"
	// InventoryTruncated: the agent reported more than is kept.
	InventoryTruncated = "InventoryTruncated"
	// WaitingForAcceptance: the agent waits, since no disk holds an operating system.
	WaitingForAcceptance = "WaitingForAcceptance"

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
