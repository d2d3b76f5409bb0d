// Package lldp reads what the switch at the other end of a cable says about itself (IEEE 802.1AB).
//
// Parsing is pure; Listen opens a packet socket. Frames come from the wire and are not trusted.
package lldp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// EtherType of LLDP (IEEE 802.1AB section 8.3).
const EtherType = 0x88cc

// maxTLVs bounds one frame; a frame of 1500 bytes with empty TLVs could hold 750.
const maxTLVs = 128

// Types of TLVs (IEEE 802.1AB table 8-1).
const (
	tlvEnd             = 0
	tlvChassisID       = 1
	tlvPortID          = 2
	tlvTTL             = 3
	tlvPortDescription = 4
	tlvSystemName      = 5
)

// ErrMalformed says that a frame is no LLDP or breaks its rules.
var ErrMalformed = errors.New("malformed LLDP frame")

// Neighbor is the port at the other end. Strings are as the switch wrote them: not cleaned.
type Neighbor struct {
	ChassisID, PortID, PortDescription, SystemName string
}

// Parse reads an Ethernet frame. Chassis, port and time to live come first, in this order (section 9.2.7.7.1).
func Parse(frame []byte) (Neighbor, error) {
	const header = 14
	if len(frame) < header || binary.BigEndian.Uint16(frame[12:]) != EtherType {
		return Neighbor{}, fmt.Errorf("%w: not LLDP", ErrMalformed)
	}
	return parseTLVs(frame[header:])
}

func parseTLVs(b []byte) (Neighbor, error) {
	var n Neighbor
	for i := range maxTLVs {
		if len(b) < 2 {
			break
		}
		head := binary.BigEndian.Uint16(b)
		kind, length := int(head>>9), int(head&0x1FF)
		if len(b) < 2+length {
			return Neighbor{}, fmt.Errorf("%w: TLV %d is cut short", ErrMalformed, i)
		}
		value := b[2 : 2+length]
		b = b[2+length:]
		if i < 3 && kind != i+1 {
			return Neighbor{}, fmt.Errorf("%w: TLV %d stands where %d must", ErrMalformed, kind, i+1)
		}
		if kind == tlvEnd {
			break
		}
		if err := n.set(kind, value); err != nil {
			return Neighbor{}, err
		}
	}
	if n.ChassisID == "" || n.PortID == "" {
		return Neighbor{}, fmt.Errorf("%w: chassis or port missing", ErrMalformed)
	}
	return n, nil
}

func (n *Neighbor) set(kind int, value []byte) error {
	switch kind {
	case tlvChassisID, tlvPortID:
		if len(value) < 2 {
			return fmt.Errorf("%w: empty identifier", ErrMalformed)
		}
		id := identifier(value[1:], isMAC(kind, value[0]), isAddress(kind, value[0]))
		if kind == tlvChassisID {
			n.ChassisID = id
		} else {
			n.PortID = id
		}
	case tlvTTL:
		if len(value) < 2 {
			return fmt.Errorf("%w: time to live cut short", ErrMalformed)
		}
	case tlvPortDescription:
		n.PortDescription = string(value)
	case tlvSystemName:
		n.SystemName = string(value)
	}
	return nil
}

// isMAC and isAddress tell what an identifier holds by its subtype (tables 8-2 and 8-3); the others are text.
func isMAC(kind int, subtype byte) bool {
	return kind == tlvChassisID && subtype == 4 || kind == tlvPortID && subtype == 3
}

func isAddress(kind int, subtype byte) bool {
	return kind == tlvChassisID && subtype == 5 || kind == tlvPortID && subtype == 4
}

func identifier(b []byte, mac, address bool) string {
	switch {
	case mac && len(b) == 6:
		return net.HardwareAddr(b).String()
	case address:
		// The first byte is the IANA address family.
		if a, ok := netip.AddrFromSlice(b[1:]); ok {
			return a.String()
		}
		return fmt.Sprintf("%x", b)
	case mac:
		return fmt.Sprintf("%x", b)
	}
	return string(b)
}
