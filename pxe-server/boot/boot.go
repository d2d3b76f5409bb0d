// Package boot decides what a machine that asks the network for a boot gets, and writes the script that says so.
//
// It is pure (layer 1): plain data in, plain data out; no I/O, clock, randomness or logging.
// lifecycle alone chooses targets; this package only finds out which server is asking, by evidence.
package boot

// Target is what a machine gets.
type Target string

// The targets; they are the same words as in the Server's status.
const (
	Agent     Target = "Agent"
	OS        Target = "OS"
	LocalDisk Target = "LocalDisk"
	Idle      Target = "Idle"
	NoAnswer  Target = "NoAnswer"
)

// UnknownPolicy says what a machine gets that no Server describes.
type UnknownPolicy string

const (
	// RegisterOnce lets the agent register it, read-only, once.
	RegisterOnce UnknownPolicy = "register-once"
	// Ignore answers nothing.
	Ignore UnknownPolicy = "ignore"
	// Hold keeps it in the boot script until somebody declares it.
	Hold UnknownPolicy = "hold"
)

// Identity is what a machine says of itself, or what a Server was told or seen to be.
type Identity struct {
	// MACs, lower case with colons. In a request: the interface that boots, or every permanent MAC that the agent read.
	MACs []string
	// Manufacturer and Serial of SMBIOS type 1 count together.
	Manufacturer, Serial string
	// UUID of SMBIOS type 1, lower case.
	UUID string
}

// Request is one machine asking for its script.
type Request struct {
	Identity
	// Arch is amd64 or arm64.
	Arch string
	// Firmware is uefi-pxe, uefi-http or bios-pxe.
	Firmware string
}

// Server is what the controller says of one server.
type Server struct {
	Name string
	Identity
	Accepted, Registered bool
	Target               Target
	// BootID of the expected boot; empty when none is expected.
	BootID string
}

// View is what the controller says of all servers. It is immutable once made.
type View struct {
	Policy  UnknownPolicy
	Servers []Server
	// AgentURL, AgentPin and AgentArgs go on the agent's kernel line.
	AgentURL, AgentPin string
	AgentArgs          []string
	Revision           int64
}

// Match says which server the evidence names.
type Match struct {
	// Server is its name; empty when none matches or the evidence contradicts itself.
	Server string
	// By is the evidence that decided: mac, serial or uuid.
	By string
	// Conflict names the Servers that different evidence points to; no tasks, no merge.
	Conflict []string
}

// Decision is what the machine gets.
type Decision struct {
	Target Target
	// Server is empty for an unknown machine.
	Server string
	// By is the evidence that named the server, as in Match.
	By string
	// BootID is the expected boot's; empty asks the caller to make a new one.
	BootID string
	// Reason is one of the reasons of Ingot, for logs and the console.
	Reason string
	// Conflict as in Match.
	Conflict []string
}
