// Package lldp encodes what a top-of-rack switch says on each of its ports.
//
// Layer 1, pure. Source: IEEE 802.1AB-2016, section 8 (LLDPDU and TLV formats).
//
// Invariant: a frame that Encode returns is valid and at least 60 bytes long,
// the shortest Ethernet frame without its checksum.
package lldp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// EtherType of LLDP.
const EtherType = 0x88cc

// nearestBridge is the destination that no bridge forwards (802.1AB table 7-1).
var nearestBridge = [6]byte{0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e}

const (
	shortestFrame = 60
	longestID     = 255 // chassis and port (802.1AB 8.5.2.3)
)

// TLV types and the sub-types in use (802.1AB 8.4.2, tables 8-2 and 8-3).
const (
	typeEnd         = 0
	typeChassis     = 1
	typePort        = 2
	typeTTL         = 3
	typePortDesc    = 4
	typeSystemName  = 5
	typeSystemDesc  = 6
	chassisMAC      = 4
	portIfName      = 5
	ttlResolution   = time.Second
	longestLifetime = 65535 * ttlResolution
)

// Neighbor is one port of a switch.
type Neighbor struct {
	// Chassis is the switch's MAC address; it is also the sender of the frame.
	Chassis net.HardwareAddr
	// Port is the name of the port, as Eth1/7.
	Port string
	// PortDescription, System and Description may be empty and are then left out.
	PortDescription, System, Description string
	// Lifetime is how long the receiver may believe it, in whole seconds.
	Lifetime time.Duration
}

// Encode makes the Ethernet frame.
func Encode(n Neighbor) ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("encoding an LLDP frame: %w", err)
	}
	frame := append([]byte{}, nearestBridge[:]...)
	frame = append(frame, n.Chassis...)
	frame = binary.BigEndian.AppendUint16(frame, EtherType)
	frame = appendTLV(frame, typeChassis, append([]byte{chassisMAC}, n.Chassis...))
	frame = appendTLV(frame, typePort, append([]byte{portIfName}, n.Port...))
	frame = appendTLV(frame, typeTTL, binary.BigEndian.AppendUint16(nil, uint16(n.Lifetime/ttlResolution)))
	frame = appendText(frame, typePortDesc, n.PortDescription)
	frame = appendText(frame, typeSystemName, n.System)
	frame = appendText(frame, typeSystemDesc, n.Description)
	frame = appendTLV(frame, typeEnd, nil)
	for len(frame) < shortestFrame {
		frame = append(frame, 0)
	}
	return frame, nil
}

func (n Neighbor) check() error {
	switch {
	case len(n.Chassis) != 6:
		return errors.New("the chassis needs a MAC address of 6 bytes")
	case n.Port == "" || len(n.Port) > longestID:
		return fmt.Errorf("the port name needs 1 to %d bytes", longestID)
	case len(n.PortDescription) > longestID || len(n.System) > longestID || len(n.Description) > longestID:
		return fmt.Errorf("a name or description is longer than %d bytes", longestID)
	case n.Lifetime < 0 || n.Lifetime > longestLifetime:
		return fmt.Errorf("the lifetime must be within 0 and %s", longestLifetime)
	}
	return nil
}

func appendText(frame []byte, kind uint16, text string) []byte {
	if text == "" {
		return frame
	}
	return appendTLV(frame, kind, []byte(text))
}

// appendTLV writes seven bits of type, nine bits of length, then the value.
func appendTLV(frame []byte, kind uint16, value []byte) []byte {
	frame = binary.BigEndian.AppendUint16(frame, kind<<9|uint16(len(value)))
	return append(frame, value...)
}
