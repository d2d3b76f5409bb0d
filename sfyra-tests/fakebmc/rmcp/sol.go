package rmcp

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
)

// Commands of serial-over-LAN (appendix G).
const (
	ActivatePayload   = 0x48
	DeactivatePayload = 0x49
	payloadStatus     = 0x4a
	payloadInfo       = 0x4b
	SetSOL            = 0x21
	getSOL            = 0x22
)

// Completion codes of payloads (24.1, 24.2) and of the configuration (26.2).
const (
	codeActive   = 0x80
	codeGone     = 0x80
	codeDisabled = 0x81
	codeReadOnly = 0x82
	codePlain    = 0x84
)

// SOL is how serial-over-LAN is set up.
type SOL struct {
	// Off: the payload is disabled, until parameter 1 says otherwise.
	Off bool
	// Level is the privilege that the payload needs: Operator when 0.
	Level uint8
	// Port is what Activate Payload names: the BMC's own when 0. NameSOLPort changes it.
	Port int
}

// parameters are those of table 26-5 by their numbers.
type parameters map[uint8][]byte

const (
	solEnable     = 1
	solAccess     = 2
	solRetry      = 4
	solVolatile   = 6
	solPort       = 8
	retryCount    = 7
	retryInterval = 5 // of 10 ms
)

func (s SOL) parameters() parameters {
	enable, level := uint8(1), s.Level
	if s.Off {
		enable = 0
	}
	if level == 0 {
		level = Operator
	}
	return parameters{
		0: {0}, solEnable: {enable}, solAccess: {0xc0 | level}, 3: {1, 64}, solRetry: {retryCount, retryInterval}, 5: {7}, solVolatile: {7}, 7: {1},
		solPort: binary.LittleEndian.AppendUint16(nil, uint16(s.Port)),
	}
}

// BitRate is the code of the rate that the serial line has now (table 26-5, parameter 6).
func (b *BMC) BitRate() uint8 {
	b.turn.Lock()
	defer b.turn.Unlock()
	return b.sol[solVolatile][0]
}

func (b *BMC) getSOL(_ context.Context, _ *session, data []byte) (uint8, []byte) {
	const revision = 0x11
	if len(data) != 4 {
		return codeBadLength, nil
	}
	value, known := b.sol[data[1]]
	if !known {
		return codeNoParameter, nil
	}
	if data[1] == solPort {
		value = b.namedPort()
	}
	return codeOK, append([]byte{revision}, value...)
}

func (b *BMC) setSOL(_ context.Context, _ *session, data []byte) (uint8, []byte) {
	if len(data) < 3 {
		return codeBadLength, nil
	}
	value, known := b.sol[data[1]]
	switch {
	case !known:
		return codeNoParameter, nil
	case data[1] >= 7:
		return codeReadOnly, nil
	case len(value) != len(data)-2:
		return codeBadLength, nil
	}
	b.sol[data[1]] = clone(data[2:])
	return codeOK, nil
}

// namedPort is the UDP port that it names for its console.
func (b *BMC) namedPort() []byte {
	port := b.config.SOL.Port
	if port == 0 && b.conn != nil {
		port = b.conn.LocalAddr().(*net.UDPAddr).Port
	}
	return binary.LittleEndian.AppendUint16(nil, uint16(port))
}

// NameSOLPort makes it name another port for its console than its own.
func (b *BMC) NameSOLPort(port int) {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.config.SOL.Port = port
}

// SOLSuspended says that a console makes the BMC wait with its output.
func (b *BMC) SOLSuspended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.holder()
	return l != nil && l.suspended.Load()
}

// isPayload says that a request is about the first instance of serial-over-LAN, which is all there is.
func isPayload(data []byte) bool { return len(data) >= 2 && data[0] == payloadSOL && data[1] == 1 }

// activateSOL is 24.1. What is not encrypted and signed is not offered.
func (b *BMC) activateSOL(_ context.Context, s *session, data []byte) (uint8, []byte) {
	const protected = 0xc0
	switch {
	case len(data) != 6:
		return codeBadLength, nil
	case !isPayload(data):
		return codeBadField, nil
	case b.sol[solEnable][0]&1 == 0:
		return codeDisabled, nil
	case s.level < b.sol[solAccess][0]&0x0f:
		return codeNoRight, nil
	case data[2]&protected != protected:
		return codePlain, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holder() != nil {
		return codeActive, nil
	}
	b.sol[solVolatile] = clone(b.sol[5]) // 15.8
	b.line = b.startLine(s)
	const room = maxChunk + 4
	reply := binary.LittleEndian.AppendUint16(make([]byte, 4), room)
	reply = binary.LittleEndian.AppendUint16(reply, room)
	reply = append(reply, b.namedPort()...)
	return codeOK, append(reply, 0xff, 0xff)
}

// holder is the line of a session that still is. The lock is held.
func (b *BMC) holder() *line {
	b.table.expire()
	if b.line != nil && b.table.find(b.line.session.bmcID) != b.line.session {
		b.line.stop()
		b.line = nil
	}
	return b.line
}

// deactivateSOL is 24.2; administrators may do it to others.
func (b *BMC) deactivateSOL(_ context.Context, s *session, data []byte) (uint8, []byte) {
	if !isPayload(data) {
		return codeBadField, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.holder()
	switch {
	case l == nil:
		return codeGone, nil
	case l.session != s && s.level < Administrator:
		return codeNoRight, nil
	case l.session != s:
		b.sendSOL(l.session, solPacket{flags: flagNack | flagEnded})
	}
	l.stop()
	b.line = nil
	return codeOK, nil
}

// EndSOL ends the payload as the power button of the server does (table 15-2, note 2). It is false when none is active.
func (b *BMC) EndSOL() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.holder()
	if l == nil {
		return false
	}
	b.sendSOL(l.session, solPacket{flags: flagNack | flagEnded})
	l.stop()
	b.line = nil
	return true
}

// SOLActive says that somebody has the console.
func (b *BMC) SOLActive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holder() != nil
}

func (b *BMC) statusSOL(context.Context, *session, []byte) (uint8, []byte) {
	status := []byte{1, 0, 0}
	if b.SOLActive() {
		status[1] = 1
	}
	return codeOK, status
}

// infoSOL is 24.5: the session that has the payload.
func (b *BMC) infoSOL(_ context.Context, _ *session, data []byte) (uint8, []byte) {
	if !isPayload(data) {
		return codeBadField, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var id uint32
	if l := b.holder(); l != nil {
		id = l.session.bmcID
	}
	return codeOK, append(le32(id), make([]byte, 8)...)
}

// sessionInfo is 22.20, by session ID alone.
func (b *BMC) sessionInfo(_ context.Context, _ *session, data []byte) (uint8, []byte) {
	if len(data) != 5 || data[0] != 0xff {
		return codeBadField, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.table.find(binary.LittleEndian.Uint32(data[1:]))
	if s == nil {
		return codeBadField, nil
	}
	reply := []byte{1, uint8(b.table.limit), uint8(len(b.table.sessions)), 2, s.level, 0x11}
	from, _ := netip.ParseAddrPort(s.peer)
	ip := from.Addr().Unmap()
	if !ip.Is4() {
		return codeOK, reply
	}
	reply = append(append(reply, ip.AsSlice()...), make([]byte, 6)...)
	return codeOK, binary.LittleEndian.AppendUint16(reply, from.Port())
}
