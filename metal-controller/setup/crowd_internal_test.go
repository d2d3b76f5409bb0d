package setup

import (
	"io"
	"net"
	"testing"
)

// TestCrowd: a source beyond its limit is closed at once, another is not, and a closed connection makes room.
func TestCrowd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newCrowd(l)
	c.perSource, c.inAll = 2, 3
	t.Cleanup(func() { _ = c.Close() })
	dial := func(source string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		conn, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	accept := func() net.Conn {
		t.Helper()
		conn, err := c.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	dial("127.0.0.2")
	first := accept()
	dial("127.0.0.2")
	accept()
	refused := dial("127.0.0.2")
	dial("127.0.0.3")
	if got := host(accept().RemoteAddr()); got != "127.0.0.3" {
		t.Errorf("%s was let in", got)
	}
	if _, err := refused.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the third connection of a source: %v; want it closed", err)
	}
	if c.enter("127.0.0.4") {
		t.Error("there is no limit in all")
	}
	_ = first.Close()
	_ = first.Close() // twice does not make room twice
	if c.number != 2 || !c.enter("127.0.0.4") || c.enter("127.0.0.5") {
		t.Errorf("a closed connection made room for %d", c.number)
	}
}
