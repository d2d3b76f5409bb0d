package qemu

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// links are the socket pairs between us and QEMU: no path, no port, no race
// between its start and our first connection.
type links struct {
	monitor, console net.Conn
	far              []*os.File
}

func newLinks() (*links, error) {
	l := &links{}
	for _, near := range []*net.Conn{&l.monitor, &l.console} {
		conn, far, err := pair()
		if err != nil {
			l.closeNear()
			l.closeFar()
			return nil, err
		}
		*near, l.far = conn, append(l.far, far)
	}
	return l, nil
}

func pair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	defer near.Close() // FileConn makes a duplicate
	conn, err := net.FileConn(near)
	if err != nil {
		_ = far.Close()
		return nil, nil, fmt.Errorf("opening a socket pair: %w", err)
	}
	return conn, far, nil
}

func (l *links) closeNear() {
	for _, conn := range []net.Conn{l.monitor, l.console} {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

func (l *links) closeFar() {
	for _, file := range l.far {
		_ = file.Close()
	}
	l.far = nil
}
