package rmcp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RAKP-HMAC-SHA1 of cipher suite 3 (13.28)
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Payload types (table 13-16).
const (
	payloadIPMI      = 0x00
	payloadSOL       = 0x01
	payloadOpen      = 0x10
	payloadOpened    = 0x11
	payloadRAKP1     = 0x12
	payloadRAKP2     = 0x13
	payloadRAKP3     = 0x14
	payloadRAKP4     = 0x15
	encrypted        = 0x80
	authenticated    = 0x40
	formatNone       = 0x00 // IPMI 1.5 without authentication
	formatPlus       = 0x06 // RMCP+
	classIPMI        = 0x07
	classASF         = 0x06
	plusHeader       = 16 // RMCP header and RMCP+ session header (13.6)
	oldHeader        = 14 // RMCP header and IPMI 1.5 session header without authentication code
	shortestMessage  = 7  // 13.8: two addresses, function, number, command, two checksums
	integrityTrailer = 2  // pad length and next header
)

// suite is a cipher suite (table 22-20) with its record (table 22-19).
type suite struct {
	id, auth, integrity, crypt uint8
	hash                       func() hash.Hash
	code                       int // bytes of an integrity code
}

func suites() map[uint8]suite {
	return map[uint8]suite{
		3:  {id: 3, auth: 1, integrity: 1, crypt: 1, hash: sha1.New, code: 12},
		17: {id: 17, auth: 3, integrity: 4, crypt: 1, hash: sha256.New, code: 16},
	}
}

func (s suite) mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(s.hash, key)
	for _, part := range parts {
		m.Write(part)
	}
	return m.Sum(nil)
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// plus wraps a payload that has no session.
func plus(kind uint8, payload []byte) []byte {
	header := []byte{0x06, 0, 0xff, classIPMI, formatPlus, kind, 0, 0, 0, 0, 0, 0, 0, 0}
	return append(binary.LittleEndian.AppendUint16(header, uint16(len(payload))), payload...)
}

// before wraps a message of IPMI 1.5 that has no session.
func before(message []byte) []byte {
	return append([]byte{0x06, 0, 0xff, classIPMI, formatNone, 0, 0, 0, 0, 0, 0, 0, 0, uint8(len(message))}, message...)
}

// seal encrypts and signs a payload for the console.
func (s *session) seal(kind uint8, message []byte) []byte {
	s.sent++
	pad := 15 - len(message)%16 // 13.29: bytes 1, 2, 3, ... and their number
	for i := range pad {
		message = append(message, uint8(i+1))
	}
	message = append(message, uint8(pad))
	payload := make([]byte, 16, 16+len(message))
	_, _ = rand.Read(payload)
	block, _ := aes.NewCipher(s.k2[:16]) // the key has the right length
	cipher.NewCBCEncrypter(block, payload[:16]).CryptBlocks(message, message)
	payload = append(payload, message...)
	packet := plus(kind|encrypted|authenticated, payload)
	copy(packet[6:], le32(s.consoleID))
	copy(packet[10:], le32(s.sent))
	fill := (4 - (len(packet)-4+integrityTrailer)%4) % 4
	for range fill {
		packet = append(packet, 0xff)
	}
	packet = append(packet, uint8(fill), 0x07)
	return append(packet, s.suite.mac(s.k1, packet[4:])[:s.suite.code]...)
}

// open checks and decrypts a packet of the console. nil: it is to be dropped.
func (s *session) open(packet []byte) []byte {
	end := len(packet) - s.suite.code
	if end < plusHeader || !hmac.Equal(s.suite.mac(s.k1, packet[4:end])[:s.suite.code], packet[end:]) {
		return nil
	}
	size := int(binary.LittleEndian.Uint16(packet[14:]))
	if plusHeader+size > end || size < 32 || size%16 != 0 {
		return nil
	}
	sequence := binary.LittleEndian.Uint32(packet[10:])
	if sequence <= s.heard {
		return nil
	}
	s.heard = sequence
	payload := packet[plusHeader : plusHeader+size]
	message := make([]byte, size-16)
	block, _ := aes.NewCipher(s.k2[:16]) // the key has the right length
	cipher.NewCBCDecrypter(block, payload[:16]).CryptBlocks(message, payload[16:])
	pad := int(message[len(message)-1])
	if pad >= len(message) {
		return nil
	}
	return message[:len(message)-1-pad]
}

// request is one IPMI message (13.8).
type request struct {
	netFn, cmd, number uint8
	data               []byte
	raw                []byte
}

func parse(message []byte) (request, bool) {
	n := len(message)
	if n < shortestMessage || sum(message[:3]) != 0 || sum(message[3:]) != 0 || message[0] != 0x20 || message[1]&3 != 0 {
		return request{}, false
	}
	return request{netFn: message[1] >> 2, cmd: message[5], number: message[4] >> 2, data: message[6 : n-1], raw: message}, true
}

// reply is the message that answers a request.
func (r request) reply(code uint8, data ...byte) []byte {
	head := []byte{r.raw[3], (r.netFn | 1) << 2}
	head = append(head, -sum(head))
	rest := append([]byte{r.raw[0], r.raw[4], r.cmd, code}, data...)
	return append(head, append(rest, -sum(rest))...)
}

// sum is the checksum of 13.8: with it, the bytes add up to 0.
func sum(b []byte) (total uint8) {
	for _, x := range b {
		total += x
	}
	return total
}
