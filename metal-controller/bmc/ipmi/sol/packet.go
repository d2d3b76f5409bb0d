package sol

const (
	headerSize = 4
	// maxData is as much as an acknowledgement can count (table 15-2).
	maxData = 255
	// lastNumber is followed by 1: number 0 is for what is not acknowledged.
	lastNumber = 15
)

// Bits of the last byte of the header (table 15-2).
const (
	nack = 1 << 6
	// to the BMC
	makeBreak = 1 << 4
	// from the BMC
	unavailable = 1 << 5
	deactivated = 1 << 4
	overrun     = 1 << 3
)

// packet is the payload of serial-over-LAN (table 15-2).
type packet struct {
	// number is 0 when nobody has to acknowledge it.
	number uint8
	// acked is the number of the packet that this one acknowledges, 0 for none, and accepted how many of its characters were taken.
	acked, accepted uint8
	flags           uint8
	data            []byte
}

func parse(payload []byte) (packet, bool) {
	if len(payload) < headerSize {
		return packet{}, false
	}
	return packet{
		number: payload[0] & lastNumber, acked: payload[1] & lastNumber, accepted: payload[2], flags: payload[3], data: payload[headerSize:],
	}, true
}

func (p packet) bytes() []byte {
	return append([]byte{p.number, p.acked, p.accepted, p.flags}, p.data...)
}

// after is the number of the next packet.
func after(number uint8) uint8 { return number%lastNumber + 1 }
