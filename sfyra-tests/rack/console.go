package rack

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// maxUnread is how much output waits for a slow reader of a console.
const maxUnread = 1 << 20

// console reads the serial line always, since a guest stalls when nobody does,
// and hands the bytes to at most one session.
type console struct {
	line net.Conn

	mu      sync.Mutex
	session *session
	ended   bool
}

func newConsole(line net.Conn) *console { return &console{line: line} }

// pump ends when QEMU closes the line.
func (c *console) pump() {
	defer c.end()
	buf := make([]byte, 4096)
	for {
		n, err := c.line.Read(buf)
		if n > 0 {
			c.deliver(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (c *console) deliver(output []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		c.session.add(output)
	}
}

func (c *console) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	_ = c.line.Close()
	if c.session != nil {
		c.session.finish()
	}
}

func (c *console) open() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return nil, machine.ErrPoweredOff
	case c.session != nil:
		return nil, machine.ErrBusy
	}
	c.session = newSession(c)
	return c.session, nil
}

func (c *console) release(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.session = nil
	}
}

// Console implements machine.Machine. The session ends with the power of the
// server, or with ctx.
func (s *Server) Console(ctx context.Context) (io.ReadWriteCloser, error) {
	s.power.Lock()
	defer s.power.Unlock()
	r := s.running()
	if r == nil {
		return nil, fmt.Errorf("opening the console of %s: %w", s.spec.Name, machine.ErrPoweredOff)
	}
	opened, err := r.console.open()
	if err != nil {
		return nil, fmt.Errorf("opening the console of %s: %w", s.spec.Name, err)
	}
	opened.follow(ctx)
	return opened, nil
}

// session is one reader and writer of a console.
type session struct {
	console *console

	mu     sync.Mutex
	forget func() bool // ends the tie to the opener's context
	ready  *sync.Cond
	unread []byte
	done   bool
}

func newSession(c *console) *session {
	s := &session{console: c, forget: func() bool { return true }}
	s.ready = sync.NewCond(&s.mu)
	return s
}

// follow closes the session when ctx ends.
func (s *session) follow(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget = context.AfterFunc(ctx, func() { _ = s.Close() })
}

// add keeps the newest output: a reader that is too slow loses the oldest.
func (s *session) add(output []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = append(s.unread, output...)
	if excess := len(s.unread) - maxUnread; excess > 0 {
		s.unread = s.unread[excess:]
	}
	s.ready.Broadcast()
}

func (s *session) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	s.ready.Broadcast()
}

// Read waits for output. It returns io.EOF once the server is off.
func (s *session) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.unread) == 0 && !s.done {
		s.ready.Wait()
	}
	if len(s.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// Write types into the console.
func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done {
		return 0, io.ErrClosedPipe
	}
	return s.console.line.Write(p)
}

// Close leaves the console to others.
func (s *session) Close() error {
	s.finish()
	s.console.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	return nil
}
