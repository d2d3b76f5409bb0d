package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Port is a raw socket on one network device.
type Port struct {
	file *os.File
}

// OpenPort binds to a device. It reads all frames, in both directions; a frame
// written to a tap reaches the server behind it as from the cable.
func OpenPort(device string) (*Port, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("opening a raw socket on %s: %w", device, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a raw socket on %s: %w", device, err)
	}
	// Protocol 0 above: nothing arrives until bind has named the device.
	address := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: link.Index}
	if err := unix.Bind(fd, address); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("binding a raw socket to %s: %w", device, err)
	}
	return &Port{file: os.NewFile(uintptr(fd), device)}, nil
}

// keep lets the kernel keep so many bytes of frames that were not read yet. It needs the rights that the socket itself needed.
func (p *Port) keep(bytes int) error {
	raw, err := p.file.SyscallConn()
	if err == nil {
		failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) })
		err = errors.Join(err, failed)
	}
	if err != nil {
		return fmt.Errorf("making room for frames of %s: %w", p.file.Name(), err)
	}
	return nil
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// Send writes one Ethernet frame.
func (p *Port) Send(frame []byte) error {
	if _, err := p.file.Write(frame); err != nil {
		return fmt.Errorf("sending a frame on %s: %w", p.file.Name(), err)
	}
	return nil
}

// Receive reads one frame into buf; what does not fit is cut off.
func (p *Port) Receive(buf []byte) (int, error) {
	n, err := p.file.Read(buf)
	if err != nil {
		return 0, fmt.Errorf("receiving a frame on %s: %w", p.file.Name(), err)
	}
	return n, nil
}

// Close ends the socket and every Receive on it.
func (p *Port) Close() error {
	if err := p.file.Close(); err != nil {
		return fmt.Errorf("closing the raw socket on %s: %w", p.file.Name(), err)
	}
	return nil
}
