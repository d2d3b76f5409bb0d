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
	// OS is what it boots when Target is OS; nil otherwise, and when the controller said something that cannot be booted.
	OS *OSBoot
}

// OSBoot is what a server boots to get its operating system: kernel and initramfs, or a UKI, each by SHA-256. It is immutable once made.
type OSBoot struct {
	Arch                   string
	Kernel, Initramfs, UKI string
	// Args hold the capability for the machine config: they stand in the script of this one boot and nowhere else.
	Args []string
}

// String hides the arguments from every log.
func (o *OSBoot) String() string { return "an OS boot" }

// GoString is String.
func (o *OSBoot) GoString() string { return o.String() }

// MaxFiles is how many files a view names, at most; the controller sends no more.
const MaxFiles = 512

// File is one file that an Environment names.
type File struct {
	// URL is where the site's cache gets it from.
	URL string
	// Initramfs says that servers boot it beside a kernel; it is one otherwise.
	Initramfs bool
}

// How a file of the view fares in the site's cache, as the protocol names it.
const (
	FileCached   = "Cached"
	FileFetching = "Fetching"
	FileFailed   = "Failed"
)

// View is what the controller says of all servers. It is immutable once made.
type View struct {
	Policy  UnknownPolicy
	Servers []Server
	// AgentURL, AgentPin and AgentArgs go on the agent's kernel line.
	AgentURL, AgentPin string
	AgentArgs          []string
	// Files are what Environments name, by SHA-256; at most MaxFiles. No other is served.
	Files map[string]File
	// AtHand says how they fare at this site. It does not come from the controller, nor does Isolated.
	AtHand map[string]string
	// Images are the architectures that this site has an agent image for. They do not come from the controller either.
	Images   []string
	Revision int64
	// Isolated says that the controller cannot be heard now, so that all of this may be out of date. Nothing is begun on it.
	Isolated bool

	index *Index // of Servers; nil without one
}

// Indexed is the view with an index of its servers, which nobody may change afterwards. It decides the same, in time that does not grow with them.
func (v View) Indexed() View {
	v.index = NewIndex(v.Servers)
	return v
}

// sharing are the servers that a machine may be.
func (v View) sharing(id Identity) []Server {
	if v.index == nil {
		return v.Servers
	}
	return v.index.Sharing(id)
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
	// OS is set for the target OS.
	OS *OSBoot
}
