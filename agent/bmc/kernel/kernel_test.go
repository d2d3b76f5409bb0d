package kernel

import (
	"errors"
	"io/fs"
	"testing"
	"unsafe"
)

// TestLayout: the structures have the sizes that are in the numbers of the ioctls, as C lays them out on 64 bits.
func TestLayout(t *testing.T) {
	for name, c := range map[string]struct{ got, want uintptr }{
		"struct ipmi_addr": {unsafe.Sizeof(address{}), 40}, "struct ipmi_msg": {unsafe.Sizeof(message{}), 16},
		"struct ipmi_req": {unsafe.Sizeof(request{}), sendCommand >> 16 & 0x3fff}, "struct ipmi_recv": {unsafe.Sizeof(received{}), receiveTrunc >> 16 & 0x3fff},
		"ipmi_msg.data": {unsafe.Offsetof(message{}.data), 8}, "ipmi_req.msg": {unsafe.Offsetof(request{}.message), 24}, "ipmi_recv.msg": {unsafe.Offsetof(received{}.message), 32},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
}

// TestTake: only the answer to the last command is one.
func TestTake(t *testing.T) {
	good := received{kind: responseType, id: 7, message: message{netFn: 7, command: 1, size: 2}}
	for name, c := range map[string]struct {
		change func(*received)
		mine   bool
	}{
		"control": {func(*received) {}, true}, "an event": {func(r *received) { r.kind = 2 }, false}, "an earlier one": {func(r *received) { r.id = 6 }, false},
		"another command": {func(r *received) { r.message.command = 2 }, false}, "no response": {func(r *received) { r.message.netFn = 6 }, false},
		"a size of nonsense": {func(r *received) { r.message.size = 65535 }, true},
	} {
		r := good
		c.change(&r)
		if b, mine, err := take(&r, make([]byte, 4), 7, 6, 1); mine != c.mine || err != nil || len(b) > 4 {
			t.Errorf("%s: %v %v %v", name, b, mine, err)
		}
	}
}

// TestNoDevice: a machine without a BMC is told from one whose BMC is silent.
func TestNoDevice(t *testing.T) {
	if _, err := Open(t.TempDir() + "/ipmi0"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
