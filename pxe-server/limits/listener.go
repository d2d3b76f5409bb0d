package limits

import (
	"io"
	"net"
	"net/netip"
)

// Listen closes connections beyond the gate's limits at once, before a byte is read, so that one host cannot use up the port for all.
func Listen(l net.Listener, gate *Gate[netip.Prefix]) net.Listener { return &listener{l, gate} }

type listener struct {
	net.Listener
	gate *Gate[netip.Prefix]
}

// Accept waits for a connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave, ok := l.gate.Enter(Source(AddrOf(c.RemoteAddr().String()))); ok {
			return &conn{c, leave}, nil
		}
		_ = c.Close()
	}
}

// conn gives its slot back when it is closed.
type conn struct {
	net.Conn
	leave func()
}

// ReadFrom keeps the way open for sendfile(2), which embedding an interface hides.
func (c *conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// AddrOf reads "host:port"; what cannot be read counts as one source.
func AddrOf(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return a.Addr().Unmap()
}
