package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Arch is a client system architecture of option 93 (RFC 4578 2.1, IANA "Processor Architecture Types").
type Arch uint16

// The architectures that get boot files, if Config.Boot names some.
const (
	ArchBIOS         Arch = 0
	ArchUEFIx64BC    Arch = 7 // called "EFI BC" in RFC 4578; what x64 firmware really sends
	ArchUEFIx64      Arch = 9
	ArchUEFIArm64    Arch = 11
	ArchHTTPx64      Arch = 16
	ArchHTTPArm64    Arch = 19
	ArchHTTPArm64Old Arch = 18 // 32-bit Arm in IANA's list; some arm64 firmware sends it
)

// archUnset is what an Event carries of a client without option 93.
const archUnset Arch = 0xffff

// HTTP says whether the architecture means UEFI HTTP boot.
func (a Arch) HTTP() bool { return a == ArchHTTPx64 || a == ArchHTTPArm64 || a == ArchHTTPArm64Old }

func (a Arch) known() bool {
	switch a {
	case ArchBIOS, ArchUEFIx64BC, ArchUEFIx64, ArchUEFIArm64:
		return true
	}
	return a.HTTP()
}

// What a client is, in the words of Event.Firmware.
const (
	uefiPXE  = "uefi-pxe"
	uefiHTTP = "uefi-http"
	biosPXE  = "bios-pxe"
	ipxe     = "ipxe"
)

// netboot says what kind of netboot client asks; empty for one that only wants an address.
func (r *request) netboot() (firmware string, arch Arch) {
	arch = r.arch()
	vendor := string(r.Options[60])
	switch {
	case r.userClassIPXE():
		return ipxe, arch
	case !arch.known():
		return "", arch
	case strings.HasPrefix(vendor, "HTTPClient") && arch.HTTP():
		return uefiHTTP, arch
	case strings.HasPrefix(vendor, "PXEClient") && arch == ArchBIOS:
		return biosPXE, arch
	case strings.HasPrefix(vendor, "PXEClient") && !arch.HTTP():
		return uefiPXE, arch
	}
	return "", arch
}

// discoversToBoot says whether this begins the netboot of a machine.
func (r *request) discoversToBoot() bool {
	if r.typ != dhcpv4.MessageTypeDiscover {
		return false
	}
	firmware, _ := r.netboot()
	return firmware != ""
}

// arch is the first known one of option 93, else the first one (a client may list several).
func (r *request) arch() Arch {
	v := r.Options[93]
	first := archUnset
	for i := 0; i+1 < len(v); i += 2 {
		a := Arch(binary.BigEndian.Uint16(v[i:]))
		if a.known() {
			return a
		}
		if i == 0 {
			first = a
		}
	}
	return first
}

// userClassIPXE reads option 77: iPXE sends the bare text, RFC 3004 asks for a list of length-prefixed texts.
func (r *request) userClassIPXE() bool {
	v := r.Options[77]
	if string(v) == "iPXE" {
		return true
	}
	for len(v) > 0 && int(v[0]) < len(v) {
		if string(v[1:1+v[0]]) == "iPXE" {
			return true
		}
		v = v[1+v[0]:]
	}
	return false
}

// addBoot adds what a netboot client needs to a reply; nothing for others.
func (c *core) addBoot(o *answer, r *request) {
	firmware, arch := r.netboot()
	switch firmware {
	case ipxe:
		c.addScript(o)
	case uefiHTTP:
		if url, ok := lookup(c.cfg.Boot.HTTPURL, arch); ok {
			// The client takes an offer for HTTP boot only with this class (UEFI specification 24.7.3.1).
			o.set(60, []byte("HTTPClient"))
			o.file(url)
		}
	case uefiPXE, biosPXE:
		if name, ok := lookup(c.cfg.Boot.NBP, arch); ok {
			o.set(60, []byte("PXEClient"))
			// PXE 2.1, table 2-1: discovery control, bit 3: no boot menu, take the file of this reply.
			o.set(43, []byte{6, 1, 8, 255})
			o.next(c.cfg.Boot.TFTPServer)
			o.file(name)
		}
	default:
		return
	}
	// RFC 4578 2.3: the server echoes the machine identifier.
	if id := r.Options[97]; len(id) == 17 {
		o.set(97, id)
	}
}

func (c *core) addScript(o *answer) {
	if c.cfg.Boot.ScriptURL == "" {
		return
	}
	o.next(c.cfg.Boot.TFTPServer)
	o.file(c.cfg.Boot.ScriptURL)
	// iPXE option space, no-pxedhcp: iPXE then does not wait for a proxy DHCP server that is not there.
	o.set(175, []byte{176, 1, 1})
}

func lookup(find func(Arch) (string, bool), a Arch) (string, bool) {
	if find == nil {
		return "", false
	}
	return find(a)
}

// seen is the event of an ACK to a netboot client, nil for others.
func seen(r *request, ip netip.Addr, now time.Time) *Event {
	firmware, arch := r.netboot()
	if firmware == "" {
		return nil
	}
	return &Event{MAC: r.mac.String(), Time: now, Stage: "DHCP", Arch: arch, Firmware: firmware, UUID: machineID(r.Options[97]), IP: ip}
}

// machineID writes option 97 (type 0 and 16 bytes) as SMBIOS 2.6 does: the first three fields are little-endian.
func machineID(v []byte) string {
	if len(v) != 17 || v[0] != 0 {
		return ""
	}
	u := v[1:]
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(u), binary.LittleEndian.Uint16(u[4:]),
		binary.LittleEndian.Uint16(u[6:]), u[8:10], u[10:])
}
