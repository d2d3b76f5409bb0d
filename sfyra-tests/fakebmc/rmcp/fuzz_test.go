package rmcp

import (
	"bytes"
	"context"
	"testing"

	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// quiet is a BMC without a socket.
func quiet(t testing.TB) (*BMC, *memory.Machine) {
	m := memory.New(machine.Identity{})
	b, err := newBMC(Config{Machine: m, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	t.Cleanup(func() {
		b.cancel()
		b.work.Wait()
	})
	return b, m
}

// active gives the BMC a session whose keys are known.
func active(b *BMC) *session {
	s := b.table.add(&session{suite: suites()[17], peer: "p", consoleID: 1, bmcID: 2})
	s.active, s.role, s.level, s.user = true, Administrator, Operator, []byte("u")
	s.k1, s.k2 = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	return s
}

// FuzzDatagrams: nobody without a password opens a session or moves the machine, whatever three datagrams say.
func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{}, []byte{6, 0, 0xff, 7, 6, 0xc0}, []byte{6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 1, 0, 0})
	f.Add(plus(payloadOpen, append(make([]byte, 12), 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0)), plus(payloadRAKP1, make([]byte, 40)), plus(payloadRAKP3, make([]byte, 40)))
	f.Add(before(request{raw: []byte{0x81, 0, 0, 0x20, 4, authCapability}, netFn: 5, cmd: authCapability}.reply(0, 1)), []byte{}, plus(payloadIPMI, []byte{0x20}))
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		b, m := quiet(t)
		active(b)
		for _, packet := range [][]byte{first, second, third} {
			_ = b.handle(packet, "p")
		}
		if tally := b.Tally(); tally.Opened != 0 || len(m.Orders()) != 0 {
			t.Fatalf("%+v, the machine was ordered %v", tally, m.Orders())
		}
	})
}

// FuzzMessages: whatever comes through a session, the BMC answers or drops it, and does not end.
func FuzzMessages(f *testing.F) {
	on := []byte{0x20, 0, 0xe0, 0x81, 4, ChassisControl, Up, 0}
	on[7] = -sum(on[3:7])
	f.Add(on)
	f.Add([]byte{0x20, App << 2, 0xc8, 0x81, 4, closeSession, 2, 0, 0, 0, 0})
	sol := []byte{0x20, App << 2, 0xc8, 0x81, 4, ActivatePayload, payloadSOL, 1, 0xc0, 0, 0, 0, 0}
	sol[12] = -sum(sol[3:12])
	f.Add(sol)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > maxPacket {
			return
		}
		b, m := quiet(t)
		s := active(b)
		other := *s // the console's side: the same keys, its own numbers
		other.consoleID = s.bmcID
		reply := b.handle(other.seal(payloadIPMI, clone(message)), "p")
		if _, ok := parse(message); ok != (reply != nil) {
			t.Fatalf("%x: understood %v, answered %x", message, ok, reply)
		}
		if reply == nil && len(m.Orders()) != 0 {
			t.Fatalf("%x: dropped, and done", message)
		}
	})
}

// TestFuzzControl: an order through the session arrives, so that the fuzzing begins behind the lock.
func TestFuzzControl(t *testing.T) {
	b, m := quiet(t)
	s := active(b)
	other := *s
	other.consoleID = s.bmcID
	on := []byte{0x20, 0, 0xe0, 0x81, 4, ChassisControl, Up, 0}
	on[7] = -sum(on[3:7])
	packet := other.seal(payloadIPMI, clone(on))
	if b.handle(packet, "p") == nil || len(m.Orders()) != 1 {
		t.Errorf("the machine was ordered %v", m.Orders())
	}
	if b.handle(packet, "p") != nil {
		t.Error("a packet that was heard before was answered")
	}
	if b.handle(other.seal(payloadIPMI, clone(on)), "somebody") != nil {
		t.Error("a packet from another address was answered")
	}
}
