package bmc

import "context"

// PowerState is the power of a machine as its BMC says.
type PowerState string

const (
	// On: the host has power.
	On PowerState = "On"
	// Off: the host has none.
	Off PowerState = "Off"
	// Unknown is neither: nothing was read yet, or the BMC says that it is between the two.
	Unknown PowerState = "Unknown"
)

// Driver speaks one protocol to one BMC. It is used by one worker at a time and need not be safe for more.
// Every error wraps one of the classes of this package.
type Driver interface {
	// Power reads the present state of the host.
	Power(ctx context.Context) (PowerState, error)
	// SetPower asks for On or Off if the host is not there already. Off is hard: the operating system is not
	// asked. It returns once the BMC took the order; whether the host follows is for the caller to read.
	SetPower(ctx context.Context, want PowerState) error
	// Shutdown asks the operating system of a host that is on to switch it off, as its power button does. It returns once the BMC took
	// the order; whether and when the host follows is up to its system. A host that is off is left alone. ErrUnsupported: the BMC does not offer it.
	Shutdown(ctx context.Context) error
	// SetBootNetwork ensures that the next boot (once), or every boot, is from the network, and reads that
	// back: an order that was acknowledged and does not show is ErrLied.
	SetBootNetwork(ctx context.Context, once bool) error
	// Close ends the session at the BMC. The driver is of no use afterwards.
	Close(ctx context.Context) error
}

// Pinned is a Driver that knows the certificate of its BMC.
type Pinned interface {
	// PinSeen is the SHA-256 of the DER form of the certificate last shown, in lower-case hexadecimal.
	PinSeen() string
}

// MediaDriver is a Driver whose BMC has virtual media. All of it concerns the image of Target.MediaURI alone: what others inserted is theirs.
type MediaDriver interface {
	Driver
	// MediaInserted says whether that image is in a drive of the BMC. ErrUnsupported: it has no drive that takes a CD.
	MediaInserted(ctx context.Context) (bool, error)
	// EjectMedia takes that image out of the drives that it is in, and reads that back: ErrLied when it is still there.
	EjectMedia(ctx context.Context) error
}

// Protocol selects a driver. The values are those of the API.
type Protocol string

const (
	// Auto asks the BMC what it speaks.
	Auto Protocol = "Auto"
	// Redfish is DMTF DSP0266 over HTTPS.
	Redfish Protocol = "Redfish"
	// IPMI is IPMI 2.0 over RMCP+.
	IPMI Protocol = "IPMI"
)

// Target says where a BMC is and how to be let in. Two equal targets need no new session.
type Target struct {
	// Protocol is Auto when empty.
	Protocol Protocol
	// Host is a name or an IP address, without brackets.
	Host string
	// Port 0 is the default of the protocol: 443 for Redfish, 623 (UDP) for IPMI. Auto uses a given port for both.
	Port int
	// Username and Password are sent to no other address than Host.
	Username string
	Password Secret
	// Pin is the SHA-256 of the DER form of the only certificate to trust, in lower-case hexadecimal.
	// Empty: any certificate is accepted and reported in Reading.PinSeen. IPMI has no certificates: with a pin, Auto means Redfish.
	Pin string
	// BootURI is the first file of a network boot by UEFI's HTTP boot. Empty: the firmware asks DHCP for it.
	BootURI string
	// MediaURI is an image that goes on from the network by itself. SetBootNetwork inserts it as virtual media, a CD, and orders the next boot from that; it
	// cannot be ordered for every boot. Empty: virtual media are not used. With BootURI there is none.
	MediaURI string
	// Firmware is what the host boots with, where that is known. IPMI's boot flags name it; Redfish needs it not.
	Firmware Firmware
}

// Firmware is the kind of a host's firmware. The values are those of the API; "" is not known.
type Firmware string

const (
	// FirmwareUEFI boots by UEFI.
	FirmwareUEFI Firmware = "UEFI"
	// FirmwareBIOS boots as PCs did before.
	FirmwareBIOS Firmware = "BIOS"
)

const (
	// DefaultRedfishPort is the port of HTTPS.
	DefaultRedfishPort = 443
	// DefaultIPMIPort is the UDP port of RMCP, which carries IPMI.
	DefaultIPMIPort = 623
)
