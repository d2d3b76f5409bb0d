package lldp

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxFrame is more than any Ethernet frame that carries LLDP.
const maxFrame = 9216

// Listen waits for the first good frame on an interface, until ctx ends. Switches send one every 30 s by default.
func Listen(ctx context.Context, ifindex int) (Neighbor, error) {
	f, err := open(ifindex)
	if err != nil {
		return Neighbor{}, err
	}
	defer f.Close()
	// A deadline in the past wakes the blocked read when the caller gives up.
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, maxFrame)
	for {
		n, err := f.Read(buf)
		if ctx.Err() != nil {
			return Neighbor{}, fmt.Errorf("waiting for an LLDP frame: %w", context.Cause(ctx))
		}
		if err != nil {
			return Neighbor{}, fmt.Errorf("reading LLDP frames: %w", err)
		}
		if neighbor, err := Parse(buf[:n]); err == nil {
			return neighbor, nil
		}
	}
}

// open makes a packet socket that also gets frames to the group address of the nearest bridge (IEEE 802.1AB table 7-1).
func open(ifindex int) (*os.File, error) {
	protocol := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, EtherType)))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := join(fd, protocol, ifindex); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "lldp"), nil
}

func join(fd, protocol, ifindex int) error {
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(protocol), Ifindex: ifindex}); err != nil {
		return fmt.Errorf("binding the packet socket: %w", err)
	}
	group := unix.PacketMreq{
		Ifindex: int32(ifindex), Type: unix.PACKET_MR_MULTICAST, Alen: 6,
		Address: [8]uint8{0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e},
	}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group); err != nil {
		return fmt.Errorf("joining the LLDP group: %w", err)
	}
	return nil
}
