package ipmi

import (
	"crypto/hmac"
	"encoding/binary"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/types"
)

// maxPacket bounds a datagram: no answer of ours comes near, and none is longer than an Ethernet frame carries.
const maxPacket = 1500

const (
	rmcpSize   = 4  // RMCP header (13.1.3)
	headerSize = 12 // RMCP+ session header (13.6)
	ivSize     = 16
	blockSize  = 16
	nextHeader = 0x07
	// sealed marks the type of a payload that is encrypted and authenticated (13.6).
	sealed = 0x80 | 0x40
)

// isIPMI says that a datagram is an RMCP message of class IPMI whose session header has the format (13.1.3, 13.6): 06h is RMCP+, 00h a
// message of IPMI 1.5 without authentication.
func isIPMI(packet []byte, format types.AuthType) bool {
	return len(packet) > rmcpSize && len(packet) <= maxPacket && packet[0] == types.RmcpVersion && packet[3] == types.MessageClassIPMI &&
		packet[rmcpSize] == uint8(format)
}

// plain is a payload outside of a session: no session ID, no sequence number, no protection.
func plain(kind types.PayloadType, payload []byte) []byte {
	header := &types.SessionHeader20{AuthType: types.AuthTypeRMCPPlus, PayloadType: kind, PayloadLength: uint16(len(payload))}
	return (&types.Rmcp{RmcpHeader: types.NewRmcpHeader(), Session20: &types.Session20{SessionHeader20: header, SessionPayload: payload}}).Pack()
}

// unplain gives the payload of a datagram that plain could have made.
func unplain(kind types.PayloadType, packet []byte) ([]byte, bool) {
	if !isIPMI(packet, types.AuthTypeRMCPPlus) || len(packet) < rmcpSize+headerSize || packet[5] != uint8(kind) {
		return nil, false
	}
	return cut(packet[rmcpSize+headerSize:], int(binary.LittleEndian.Uint16(packet[14:])))
}

// cut gives the first n bytes.
func cut(b []byte, n int) ([]byte, bool) {
	if n > len(b) {
		return nil, false
	}
	return b[:n], true
}

// old is a message in the envelope of IPMI 1.5, without authentication (13.6). What comes before a session may be asked in it, and some
// BMCs understand it in no other.
func old(message []byte) []byte {
	header := &types.SessionHeader15{AuthType: types.AuthTypeNone, PayloadLength: uint8(len(message))}
	return (&types.Rmcp{RmcpHeader: types.NewRmcpHeader(), Session15: &types.Session15{SessionHeader15: header, Payload: message}}).Pack()
}

// unold gives the message of a datagram that old could have made.
func unold(packet []byte) ([]byte, bool) {
	const at = rmcpSize + 10 // type, sequence number, session ID, length
	if !isIPMI(packet, types.AuthTypeNone) || len(packet) < at {
		return nil, false
	}
	return cut(packet[at:], int(packet[at-1]))
}

// keys protect the packets of one session (13.31, 13.32). They are never printed.
type keys struct {
	suite  suite
	k1, k2 []byte
}

// seal encrypts a payload and signs the packet around it (13.28.4, 13.29). iv is 16 random bytes.
func (k keys) seal(kind types.PayloadType, sessionID, sequence uint32, message, iv []byte) ([]byte, error) {
	payload, err := crypto.EncryptAESPayload(message, k.k2, iv)
	if err != nil {
		return nil, err
	}
	header := types.SessionHeader20{
		AuthType: types.AuthTypeRMCPPlus, PayloadType: kind, PayloadEncrypted: true, PayloadAuthenticated: true,
		SessionID: sessionID, Sequence: sequence, PayloadLength: uint16(len(payload)),
	}
	signed := append(header.Pack(), payload...)
	pad := types.IntegrityPadLen(headerSize, len(payload))
	for range pad {
		signed = append(signed, 0xff)
	}
	signed = append(signed, uint8(pad), nextHeader)
	code, err := crypto.SessionIntegrityAuthCode(k.suite.integrity, signed, k.k1, "")
	if err != nil {
		return nil, err
	}
	return append(append(types.NewRmcpHeader().Pack(), signed...), code...), nil
}

// open checks and decrypts a payload of this kind within a session. Anything that is not signed and encrypted with the session's keys is none.
func (k keys) open(kind types.PayloadType, sessionID uint32, packet []byte) (sequence uint32, message []byte, ok bool) {
	size, known := crypto.IntegrityAuthCodeLen(k.suite.integrity)
	end := len(packet) - size
	if !known || size == 0 || !isIPMI(packet, types.AuthTypeRMCPPlus) || end < rmcpSize+headerSize || packet[5] != sealed|uint8(kind) ||
		binary.LittleEndian.Uint32(packet[6:]) != sessionID {
		return 0, nil, false
	}
	code, err := crypto.SessionIntegrityAuthCode(k.suite.integrity, packet[rmcpSize:end], k.k1, "")
	if err != nil || !hmac.Equal(code, packet[end:]) {
		return 0, nil, false
	}
	payload, whole := cut(packet[rmcpSize+headerSize:end], int(binary.LittleEndian.Uint16(packet[14:])))
	if !whole || len(payload) < ivSize+blockSize || len(payload)%blockSize != 0 {
		return 0, nil, false
	}
	message, err = crypto.DecryptAESPayload(payload, k.k2)
	return binary.LittleEndian.Uint32(packet[10:]), message, err == nil
}
