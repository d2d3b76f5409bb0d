package ipmi

import (
	"encoding/binary"
	"testing"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/types"
)

// TestOpenTakesSealedOnly: what a BMC signs and does not encrypt, or encrypts badly, is not read, though the signature is good.
func TestOpenTakesSealedOnly(t *testing.T) {
	const id = 5
	for _, s := range suites() {
		k := testKeys(s)
		size, _ := crypto.IntegrityAuthCodeLen(s.integrity)
		for name, c := range map[string]struct {
			spoil func(p []byte) []byte
			ok    bool
		}{
			"as it is":      {func(p []byte) []byte { return p }, true},
			"not encrypted": {func(p []byte) []byte { p[5] = 0x40; return p }, false},
			"not signed":    {func(p []byte) []byte { p[5] = 0x80; return p }, false},
			"another kind":  {func(p []byte) []byte { p[5] = 0xc1; return p }, false},
			"odd length":    {func(p []byte) []byte { p[14] -= 3; return p }, false},
			"no block":      {func(p []byte) []byte { p[14] = ivSize; return p }, false},
			"too long":      {func(p []byte) []byte { binary.LittleEndian.PutUint16(p[14:], 0x1000); return p }, false},
			"no IPMI":       {func(p []byte) []byte { p[3] = 6; return p }, false},
			"IPMI 1.5":      {func(p []byte) []byte { p[4] = 0; return p }, false},
		} {
			packet, err := k.seal(types.PayloadTypeIPMI, id, 1, []byte("longer than one block of 16"), make([]byte, ivSize))
			if err != nil {
				t.Fatal(err)
			}
			packet = c.spoil(packet[:len(packet)-size])
			code, err := crypto.SessionIntegrityAuthCode(s.integrity, packet[rmcpSize:], k.k1, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, message, ok := k.open(types.PayloadTypeIPMI, id, append(packet, code...)); ok != c.ok {
				t.Errorf("suite %d, %s: opened %v %q", s.id, name, ok, message)
			}
		}
	}
}

// TestAnswerTo: an answer belongs to one request; checksums hold.
func TestAnswerTo(t *testing.T) {
	command := &chassis.GetChassisStatusRequest{}
	good := func() []byte {
		m := []byte{0x81, 0x01 << 2, 0, 0x20, 9 << 2, 0x01, 0, 1, 2, 3, 0}
		m[2], m[10] = -sum(m[:2]), -sum(m[3:10])
		return m
	}
	if got, ok := answerTo(command, 9, good()); !ok || got.code != 0 || string(got.data) != "\x01\x02\x03" {
		t.Fatalf("control: %+v %v", got, ok)
	}
	if _, ok := answerTo(command, 10, good()); ok {
		t.Error("the answer to another number was taken")
	}
	if _, ok := answerTo(&chassis.ChassisControlRequest{}, 9, good()); ok {
		t.Error("the answer to another command was taken")
	}
	for i := range good() {
		m := good()
		m[i] ^= 0x10
		if _, ok := answerTo(command, 9, m); ok {
			t.Errorf("byte %d was changed, and the answer taken", i)
		}
		if _, ok := answerTo(command, 9, m[:i]); ok {
			t.Errorf("%d bytes were taken for an answer", i)
		}
	}
}
