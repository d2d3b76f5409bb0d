package dhcp6

import (
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// Reason says why a packet got no answer; it is the label of a counter.
type Reason string

// The reasons for silence.
const (
	Malformed    Reason = "malformed"     // not DHCPv6, or a field that no client of ours sends
	NotARequest  Reason = "not-a-request" // a message type that only servers and relays send
	UnknownNet   Reason = "unknown-net"   // from an address that is not of this link
	Unicast      Reason = "unicast"       // sent to us alone, where RFC 8415 section 18.4 asks for silence
	OtherServer  Reason = "other-server"  // the client chose another server
	UnknownLease Reason = "unknown-lease" // nothing is known that would be an answer (RFC 8415 sections 18.3.3 and 18.3.5)
	TooBig       Reason = "too-big"       // the answer would not fit into a packet that every link carries
	Limited      Reason = "limited"
	Overload     Reason = "overload"
	Failed       Reason = "failed" // the lease could not be saved, or sending failed
)

const (
	headerLen = 4
	maxPacket = 1500
	// maxAnswer is what fits into 1280 bytes, the smallest MTU of IPv6 (RFC 8200 section 5), with both headers.
	maxAnswer  = 1280 - 40 - 8
	maxOptions = 64
	maxDUID    = 130 // RFC 8415 section 11.1
	maxIAs     = 4
	maxAddrs   = 4 // of one IA
)

// request is a packet that passed the checks of its form.
type request struct {
	typ    dhcpv6.MessageType
	xid    dhcpv6.TransactionID
	opts   dhcpv6.MessageOptions
	source netip.Addr
	// unicast: it was sent to us alone.
	unicast bool
	// client and server are DUIDs; empty when the message names none.
	client, server string
	mac            macAddr
	ias            []ia
}

// ia is an identity association for addresses (IA_NA, RFC 8415 section 21.4).
type ia struct {
	id    [4]byte
	addrs []netip.Addr
}

// key names the lease of one IA.
func (r *request) key(i ia) string { return r.client + string(i.id[:]) }

// parse reads a packet of a client.
func parse(b []byte, source netip.Addr, unicast bool) (*request, Reason) {
	if len(b) < headerLen || len(b) > maxPacket {
		return nil, Malformed
	}
	r := &request{typ: dhcpv6.MessageType(b[0]), source: source, unicast: unicast}
	copy(r.xid[:], b[1:])
	switch r.typ {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind,
		dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline, dhcpv6.MessageTypeInformationRequest:
	default:
		return nil, NotARequest
	}
	if r.opts.Options = decode(b[headerLen:]); r.opts.Options == nil || !r.read() {
		return nil, Malformed
	}
	return r, ""
}

// decode is nil for what is no list of options. The codec runs behind a recover: that for IPv4 had panics on hostile input.
func decode(b []byte) (o dhcpv6.Options) {
	defer func() {
		if recover() != nil {
			o = nil
		}
	}()
	o = dhcpv6.Options{}
	if err := o.FromBytesWithParser(b, lenient); err != nil || len(o) > maxOptions {
		return nil
	}
	return o
}

// lenient reads the options that matter here strictly, and leaves others alone: firmware that writes one of them in its own way still gets an address.
func lenient(code dhcpv6.OptionCode, data []byte) (dhcpv6.Option, error) {
	generic := &dhcpv6.OptionGeneric{OptionCode: code, OptionData: append([]byte{}, data...)}
	switch {
	case code == dhcpv6.OptionClientID || code == dhcpv6.OptionServerID:
		return generic, nil // DUIDs are opaque (RFC 8415 section 11)
	case code == dhcpv6.OptionIANA || code == dhcpv6.OptionORO:
		return dhcpv6.ParseOption(code, data)
	case code == dhcpv6.OptionUserClass || code == dhcpv6.OptionVendorClass || code == dhcpv6.OptionClientArchType:
		if o, err := dhcpv6.ParseOption(code, data); err == nil {
			return o, nil
		}
	}
	return generic, nil
}

// read takes what is needed out of the options; it is false for what no client sends.
func (r *request) read() bool {
	var ok1, ok2 bool
	r.client, ok1 = r.duid(dhcpv6.OptionClientID)
	r.server, ok2 = r.duid(dhcpv6.OptionServerID)
	all := r.opts.IANA()
	if !ok1 || !ok2 || len(all) > maxIAs {
		return false
	}
	for _, n := range all {
		i := ia{id: n.IaId}
		for _, a := range n.Options.Addresses() {
			ip, ok := netip.AddrFromSlice(a.IPv6Addr)
			if !ok || len(i.addrs) == maxAddrs {
				return false
			}
			i.addrs = append(i.addrs, ip)
		}
		r.ias = append(r.ias, i)
	}
	r.mac = r.hardware()
	return true
}

// duid reads one; none is fine, two are not.
func (r *request) duid(code dhcpv6.OptionCode) (string, bool) {
	all := r.opts.Get(code)
	if len(all) == 0 {
		return "", true
	}
	id := all[0].ToBytes()
	return string(id), len(all) == 1 && len(id) > 2 && len(id) <= maxDUID
}

// hardware is the MAC that the client shows: in its link-local address, when that is made of it (RFC 4291 appendix A), else in its DUID. It is a hint, for timelines:
// whoever is on the link can show any.
func (r *request) hardware() (m macAddr) {
	if b := r.source.As16(); r.source.IsLinkLocalUnicast() && b[11] == 0xff && b[12] == 0xfe {
		return macAddr{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}
	}
	id, err := dhcpv6.DUIDFromBytes([]byte(r.client))
	if err != nil {
		return m
	}
	switch d := id.(type) {
	case *dhcpv6.DUIDLL:
		return ethernet(d.HWType, d.LinkLayerAddr)
	case *dhcpv6.DUIDLLT:
		return ethernet(d.HWType, d.LinkLayerAddr)
	}
	return m
}

func ethernet(kind iana.HWType, b []byte) (m macAddr) {
	if kind == iana.HWTypeEthernet && len(b) == len(m) {
		copy(m[:], b)
	}
	return m
}

// wants says whether the client asks for an option; one that lists nothing gets all.
func (r *request) wants(code dhcpv6.OptionCode) bool {
	list := r.opts.RequestedOptions()
	return len(list) == 0 || list.Contains(code)
}
