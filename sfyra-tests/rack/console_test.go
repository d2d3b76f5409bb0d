package rack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func newLine(t *testing.T) (*console, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	c := newConsole(near)
	ended := make(chan struct{})
	go func() { defer close(ended); c.pump() }()
	t.Cleanup(func() { _ = far.Close(); <-ended })
	return c, far
}

func TestConsoleIsForOne(t *testing.T) {
	c, guest := newLine(t)
	s, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.open(); !errors.Is(err, machine.ErrBusy) {
		t.Errorf("a second session: %v", err)
	}
	go func() { _, _ = guest.Write([]byte("login:")) }()
	buf := make([]byte, 64)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "login:" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	go func() { _, _ = s.Write([]byte("root")) }()
	if n, err := guest.Read(buf); err != nil || string(buf[:n]) != "root" {
		t.Errorf("typed %q, %v", buf[:n], err)
	}
	_ = s.Close()
	if _, err := s.Read(buf); !errors.Is(err, io.EOF) {
		t.Errorf("reading after Close: %v", err)
	}
	if _, err := s.Write(buf); err == nil {
		t.Error("typing after Close")
	}
	if _, err := c.open(); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestConsoleEndsWithTheServer(t *testing.T) {
	c, guest := newLine(t)
	s, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = guest.Write([]byte("last words"))
		_ = guest.Close()
	}()
	if all, err := io.ReadAll(s); err != nil || string(all) != "last words" {
		t.Errorf("read %q, %v", all, err)
	}
	if _, err := c.open(); !errors.Is(err, machine.ErrPoweredOff) {
		t.Errorf("after the end: %v", err)
	}
}

func TestConsoleWithoutReaderKeepsTheGuestGoing(t *testing.T) {
	c, guest := newLine(t)
	if _, err := guest.Write(make([]byte, 3*maxUnread)); err != nil { // returns only when it was read
		t.Fatal(err)
	}
	s, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Write(append(make([]byte, 2*maxUnread), "newest"...)); err != nil {
		t.Fatal(err)
	}
	_ = guest.Close()
	kept, err := io.ReadAll(s)
	if err != nil || len(kept) >= 2*maxUnread || !bytes.HasSuffix(kept, []byte("newest")) {
		t.Errorf("a slow reader got %d bytes, %v", len(kept), err)
	}
}

func TestConsoleEndsWithItsContext(t *testing.T) {
	c, _ := newLine(t)
	s, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.follow(ctx)
	cancel()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
