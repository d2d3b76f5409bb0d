package httpboot

import (
	"io"
	"net"
	"net/netip"

	"ingot.dev/ingot/pxe-server/limits"
)

// listener closes connections beyond the limits at once, before a byte is read.
type listener struct {
	net.Listener
	gate *limits.Gate[netip.Prefix]
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave, ok := l.gate.Enter(limits.Source(addrOf(c.RemoteAddr().String()))); ok {
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

func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// addrOf reads "host:port"; what cannot be read counts as one source.
func addrOf(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return a.Addr().Unmap()
}
