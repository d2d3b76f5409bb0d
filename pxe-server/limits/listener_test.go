package limits_test

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"

	"ingot.dev/ingot/pxe-server/limits"
)

// TestListen: a source beyond its limit is closed at once, another is not, there is a limit in all, and a closed connection makes room once.
func TestListen(t *testing.T) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gate := limits.NewGate[netip.Prefix](3, 2)
	l := limits.Listen(port, gate)
	t.Cleanup(func() { _ = l.Close() })
	dial := func(source string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		c, err := d.Dial("tcp", port.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	accept := func() net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	dial("127.0.0.2")
	first := accept()
	dial("127.0.0.2")
	accept()
	refused := dial("127.0.0.2")
	dial("127.0.0.3")
	if got := limits.AddrOf(accept().RemoteAddr().String()); got != netip.MustParseAddr("127.0.0.3") {
		t.Errorf("%s was let in", got)
	}
	if _, err := refused.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the third connection of a source: %v; want it closed", err)
	}
	if other := limits.Source(netip.MustParseAddr("127.0.0.4")); gate.Busy() != 3 {
		t.Errorf("%d are counted", gate.Busy())
	} else if _, ok := gate.Enter(other); ok {
		t.Error("there is no limit in all")
	}
	_ = first.Close()
	_ = first.Close() // twice does not make room twice
	if gate.Busy() != 2 || gate.Held(limits.Source(netip.MustParseAddr("127.0.0.2"))) != 1 {
		t.Errorf("a connection that was closed twice made room for %d", 3-gate.Busy())
	}
}

func TestAddrOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1", "pipe": "0.0.0.0", "": "0.0.0.0",
	} {
		if got := limits.AddrOf(remote); got.String() != want {
			t.Errorf("%q: got %s", remote, got)
		}
	}
}

// queue is a listener whose connections come from anywhere.
type queue struct {
	net.Listener
	from []string
}

func (q *queue) Accept() (net.Conn, error) {
	if len(q.from) == 0 {
		return nil, io.EOF
	}
	here, there := net.Pipe()
	_ = there.Close()
	next := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(q.from[0]))
	q.from = q.from[1:]
	return remote{here, next}, nil
}

type remote struct {
	net.Conn
	addr net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.addr }

// TestListenCountsNetworks: a host that owns a /64 is one source, whatever address of it it chooses.
func TestListenCountsNetworks(t *testing.T) {
	l := limits.Listen(&queue{from: []string{
		"[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", "[2001:db8:0:1:ffff::3]:1", "[2001:db8:0:2::1]:1", "192.0.2.1:1", "192.0.2.2:1",
	}}, limits.NewGate[netip.Prefix](10, 1))
	var in []string
	for c, err := l.Accept(); err == nil; c, err = l.Accept() {
		in = append(in, c.RemoteAddr().String())
	}
	if want := []string{"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", "192.0.2.1:1", "192.0.2.2:1"}; !slices.Equal(in, want) {
		t.Errorf("let in %v; want %v", in, want)
	}
}
