package firmware

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Node is one node of a device path.
type Node struct{ Type, SubType byte }

// Nodes that tell what an entry starts: UEFI 2.10 section 10.3, tables of 10.3.3 (messaging) and 10.3.5 (media).
const (
	typeMessaging = 0x03
	typeMedia     = 0x04
	typeBIOS      = 0x05
	typeEnd       = 0x7F
)

var (
	usb      = Node{typeMessaging, 0x05}
	usbClass = Node{typeMessaging, 0x0F}
	usbWWID  = Node{typeMessaging, 0x10}
	mac      = Node{typeMessaging, 0x0B}
	ipv4     = Node{typeMessaging, 0x0C}
	ipv6     = Node{typeMessaging, 0x0D}
	uri      = Node{typeMessaging, 0x18}
	wifi     = Node{typeMessaging, 0x1C}
	sd       = Node{typeMessaging, 0x1A}

	hardDrive = Node{typeMedia, 0x01}
	cdrom     = Node{typeMedia, 0x02}
	filePath  = Node{typeMedia, 0x04}
)

// maxNodes bounds a path; real ones have a dozen.
const maxNodes = 256

var errPath = errors.New("the device path is cut off or malformed")

// ParsePath reads device path nodes: type, subtype, a 16-bit length of the whole node, data. An entry may hold several paths;
// only the first counts for booting, so the parser stops at its end.
func ParsePath(b []byte) ([]Node, error) {
	var out []Node
	for len(b) > 0 {
		if len(b) < 4 || len(out) >= maxNodes {
			return nil, errPath
		}
		n := Node{b[0], b[1]}
		length := int(binary.LittleEndian.Uint16(b[2:]))
		if length < 4 || length > len(b) {
			return nil, errPath
		}
		if n.Type == typeEnd {
			return out, nil
		}
		if n.Type == typeBIOS && length >= 6 {
			// The device type of a BIOS Boot Specification entry (section 10.3.6) is what tells; it stands in for the subtype.
			n.SubType = b[4]
		}
		out, b = append(out, n), b[length:]
	}
	return nil, errPath
}

func (e Entry) has(nodes ...Node) bool {
	return slices.ContainsFunc(nodes, func(n Node) bool { return slices.Contains(e.Nodes, n) })
}

// network says that an entry boots from the network. BIOS entries tell it by their device type: 06h embedded network, 80h BEV.
func (e Entry) network() bool {
	return e.has(mac, ipv4, ipv6, uri, wifi, Node{typeBIOS, 0x06}, Node{typeBIOS, 0x80})
}

// stale says that an entry starts a file on a partition of a hard disk. A stick or a card that somebody plugged in is not ours, as
// far as the path tells.
func (e Entry) stale() bool {
	return e.has(hardDrive) && e.has(filePath) && !e.has(usb, usbClass, usbWWID, cdrom, sd) && !e.network()
}
