package setup

import (
	"net"
	"sync"
)

// Limits of connections on one port. A machine has one; a rack behind address translation shares a source.
const (
	connectionsPerSource = 256
	connectionsInAll     = 8192
)

// crowd is a listener that closes connections beyond its limits, so that one host cannot use up the port for all.
type crowd struct {
	net.Listener
	perSource, inAll int

	mu     sync.Mutex
	open   map[string]int
	number int
}

func newCrowd(l net.Listener) *crowd {
	return &crowd{Listener: l, perSource: connectionsPerSource, inAll: connectionsInAll, open: map[string]int{}}
}

// Accept waits for a connection that there is room for.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		source := host(conn.RemoteAddr())
		if c.enter(source) {
			return &member{Conn: conn, leave: sync.OnceFunc(func() { c.exit(source) })}, nil
		}
		_ = conn.Close()
	}
}

func (c *crowd) enter(source string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number >= c.inAll || c.open[source] >= c.perSource {
		return false
	}
	c.number++
	c.open[source]++
	return true
}

func (c *crowd) exit(source string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number--
	if c.open[source]--; c.open[source] == 0 {
		delete(c.open, source)
	}
}

// member is a connection that makes room when it is closed.
type member struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (m *member) Close() error {
	m.leave()
	return m.Conn.Close()
}

func host(a net.Addr) string {
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}
