package rmcp

import (
	"encoding/binary"
)

// handle answers one datagram. nil: it is dropped.
func (b *BMC) handle(packet []byte, peer string) []byte {
	switch {
	case len(packet) < pingSize || len(packet) > maxPacket || packet[0] != 0x06:
		return nil
	case packet[3] == classASF:
		return pong(packet)
	case packet[3] != classIPMI || len(packet) < oldHeader:
		return nil
	}
	if b.config.Faults.Get().Garbage && !b.inSession(packet) {
		return append(clone(packet[:5]), "these are no IPMI bytes at all"...)
	}
	switch packet[4] {
	case formatNone:
		return b.handleOld(packet)
	case formatPlus:
		return b.handlePlus(packet, peer)
	}
	return nil // no other session of IPMI 1.5
}

func (b *BMC) inSession(packet []byte) bool {
	return packet[4] == formatPlus && packet[5] == payloadIPMI|encrypted|authenticated
}

const pingSize = 12

// pong answers a presence ping (13.2.3, 13.2.4): IPMI is there.
func pong(packet []byte) []byte {
	const ping = 0x80
	if packet[8] != ping {
		return nil
	}
	return append([]byte{0x06, 0, 0xff, classASF, 0, 0, 0x11, 0xbe, 0x40, packet[9], 0, 16}, 0, 0, 0x11, 0xbe, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0)
}

// handleOld answers what may be asked before a session, in the envelope of IPMI 1.5.
func (b *BMC) handleOld(packet []byte) []byte {
	size := int(packet[oldHeader-1])
	if oldHeader+size > len(packet) {
		return nil
	}
	if r, ok := parse(packet[oldHeader : oldHeader+size]); ok {
		return before(b.anonymous(r))
	}
	return nil
}

func (b *BMC) handlePlus(packet []byte, peer string) []byte {
	if len(packet) < plusHeader {
		return nil
	}
	if b.inSession(packet) {
		return b.handleSession(packet, peer)
	}
	if packet[5] == payloadSOL|encrypted|authenticated {
		b.handleSOL(packet, peer)
		return nil
	}
	size := int(binary.LittleEndian.Uint16(packet[14:]))
	if plusHeader+size > len(packet) || binary.LittleEndian.Uint32(packet[6:]) != 0 {
		return nil
	}
	payload := packet[plusHeader : plusHeader+size]
	switch packet[5] {
	case payloadOpen:
		return b.openSession(payload, peer)
	case payloadRAKP1:
		return b.rakp1(payload, peer)
	case payloadRAKP3:
		return b.rakp3(payload, peer)
	case payloadIPMI:
		if r, ok := parse(payload); ok {
			return plus(payloadIPMI, b.anonymous(r))
		}
	}
	return nil
}

// handleSession carries out a command that came through a session.
func (b *BMC) handleSession(packet []byte, peer string) []byte {
	s, message := b.admit(packet, peer)
	r, ok := parse(message)
	if !ok {
		return nil
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	answer := s.again(r)
	if answer == nil {
		answer = b.perform(s, r)
		s.last, s.answer = r.raw, answer
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.seal(payloadIPMI, clone(answer))
}

// admit finds the session of a packet, checks it and gives its payload, nil when it is to be dropped.
func (b *BMC) admit(packet []byte, peer string) (*session, []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table.expire()
	if b.config.Faults.Get().EndsSessions() {
		b.table.endActive()
	}
	s := b.table.find(binary.LittleEndian.Uint32(packet[6:]))
	if s == nil || !s.active || s.peer != peer {
		return nil, nil
	}
	message := s.open(packet)
	if message != nil {
		s.used = b.config.Now()
	}
	return s, message
}
