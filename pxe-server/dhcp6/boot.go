package dhcp6

import (
	"bytes"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Arch is a client system architecture of option 61 (RFC 5970 section 3.3; IANA "Processor Architecture Types", the same numbers as with IPv4).
type Arch uint16

// What a client is, in the words of Event.Firmware.
const (
	uefiPXE  = "uefi-pxe"
	uefiHTTP = "uefi-http"
	ipxe     = "ipxe"
)

// Vendor classes of firmware (UEFI 2.10 section 24.7.3.1, PXE 2.1), which begin the class data.
const (
	classHTTP = "HTTPClient"
	classPXE  = "PXEClient"
)

// vendorIntel is the enterprise number that EDK2 puts before its classes. It is echoed from the client where there is one.
const vendorIntel = 343

// bootURL says where a netboot client finds its first stage, and what kind of client it is; empty for one that only wants an address, or for which
// there is nothing.
func (c *core) bootURL(r *request) (url, firmware string) {
	switch firmware = r.netboot(); firmware {
	case ipxe:
		return c.cfg.Boot.ScriptURL, ipxe
	case uefiHTTP:
		return first(r.opts.ArchTypes(), c.cfg.Boot.HTTPURL), uefiHTTP
	case uefiPXE:
		return first(r.opts.ArchTypes(), c.cfg.Boot.TFTPURL), uefiPXE
	}
	return "", ""
}

// first is the URL of the first architecture for which there is one.
func first[A ~uint16](archs []A, find func(Arch) (string, bool)) string {
	if find == nil {
		return ""
	}
	for _, a := range archs {
		if url, ok := find(Arch(a)); ok {
			return url
		}
	}
	return ""
}

// netboot says what kind of netboot client asks.
func (r *request) netboot() string {
	for _, u := range r.opts.UserClasses() {
		if string(u) == "iPXE" {
			return ipxe
		}
	}
	switch {
	case r.class(classHTTP) != nil:
		return uefiHTTP
	case r.class(classPXE) != nil:
		return uefiPXE
	}
	return ""
}

// class is the vendor class option whose data begins with that word.
func (r *request) class(word string) *dhcpv6.OptVendorClass {
	for _, v := range r.opts.VendorClasses() {
		for _, d := range v.Data {
			if bytes.HasPrefix(d, []byte(word)) {
				return v
			}
		}
	}
	return nil
}

// addBoot adds what a netboot client needs to an answer; nothing for others.
func (c *core) addBoot(m *dhcpv6.Message, r *request) {
	url, firmware := c.bootURL(r)
	if url == "" {
		return
	}
	m.AddOption(dhcpv6.OptBootFileURL(url))
	if firmware == uefiHTTP {
		// The client takes an offer for HTTP boot only with this class (UEFI 2.10 section 24.7.3.1). A PXE client would take an answer with
		// its class for that of a proxy.
		number := uint32(vendorIntel)
		if v := r.class(classHTTP); v != nil {
			number = v.EnterpriseNumber
		}
		m.AddOption(&dhcpv6.OptVendorClass{EnterpriseNumber: number, Data: [][]byte{[]byte(classHTTP)}})
	}
}
