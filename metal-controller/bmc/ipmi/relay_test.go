package ipmi_test

import (
	"net"
	"sync"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
)

// relay stands between the driver and its BMC, as a neighbour on the network can.
type relay struct {
	front net.PacketConn
	back  net.Conn
	work  sync.WaitGroup

	mu     sync.Mutex
	client net.Addr
	// up and down give what to pass on for one datagram to the BMC and from it; nil passes it on as it is.
	up, down func(packet []byte) [][]byte
}

// between puts a relay before the BMC of the lab and points the lab's target at it.
func between(t *testing.T, l *lab) *relay {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp", l.bmc.Addr())
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{front: front, back: back}
	r.work.Go(r.carryUp)
	r.work.Go(r.carryDown)
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		r.work.Wait()
	})
	l.target = targetOf(t, front.LocalAddr().String())
	return r
}

// tamper replaces both ways.
func (r *relay) tamper(up, down func([]byte) [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up, r.down = up, down
}

func (r *relay) through(packet []byte, change func([]byte) [][]byte) [][]byte {
	packet = append([]byte(nil), packet...)
	if change == nil {
		return [][]byte{packet}
	}
	return change(packet)
}

func (r *relay) carryUp() {
	buffer := make([]byte, 2048)
	for {
		n, from, err := r.front.ReadFrom(buffer)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.client = from
		for _, packet := range r.through(buffer[:n], r.up) {
			_, _ = r.back.Write(packet)
		}
		r.mu.Unlock()
	}
}

func (r *relay) carryDown() {
	buffer := make([]byte, 2048)
	for {
		n, err := r.back.Read(buffer)
		if err != nil {
			return
		}
		r.mu.Lock()
		for _, packet := range r.through(buffer[:n], r.down) {
			_, _ = r.front.WriteTo(packet, r.client)
		}
		r.mu.Unlock()
	}
}

// isSession says that a datagram belongs to a session: encrypted, authenticated, an IPMI message.
func isSession(packet []byte) bool { return len(packet) > 16 && packet[4] == 6 && packet[5] == 0xc0 }

// isKind says that a datagram is of a session that is being opened, with this payload type.
func isKind(packet []byte, kind uint8) bool {
	return len(packet) > 16 && packet[4] == 6 && packet[5] == kind
}

// on changes the datagrams that match and passes the others on.
func on(match func([]byte) bool, change func([]byte) [][]byte) func([]byte) [][]byte {
	return func(packet []byte) [][]byte {
		if match(packet) {
			return change(packet)
		}
		return [][]byte{packet}
	}
}

func kind(k uint8) func([]byte) bool { return func(p []byte) bool { return isKind(p, k) } }

func wantPower(t *testing.T, d bmc.Driver, want bmc.PowerState) {
	t.Helper()
	if got, err := d.Power(t.Context()); err != nil || got != want {
		t.Errorf("Power: %s, %v; want %s", got, err, want)
	}
}
