// Package kernel carries IPMI commands through Linux' /dev/ipmi0 (include/uapi/linux/ipmi.h; Documentation/driver-api/ipmi.rst).
//
// Layer 2, adapter.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// answerTime bounds one command. The driver itself gives up after five seconds, and answers with C3h.
	answerTime = 15 * time.Second
	// maxAnswer is IPMI_MAX_MSG_LENGTH.
	maxAnswer = 272

	sendCommand  = 0x8028690d // _IOR('i', 13, struct ipmi_req)
	receiveTrunc = 0xc030690b // _IOWR('i', 11, struct ipmi_recv)

	systemInterface = 0x0c // IPMI_SYSTEM_INTERFACE_ADDR_TYPE
	bmcChannel      = 0x0f // IPMI_BMC_CHANNEL
	responseType    = 1    // IPMI_RESPONSE_RECV_TYPE
	addressSize     = 8
)

var errNoAnswer = errors.New("the BMC does not answer")

// address is struct ipmi_system_interface_addr, with room for the largest address.
type address struct {
	kind    int32
	channel int16
	_       uint8 // LUN, 0
	_       [33]byte
}

// message is struct ipmi_msg.
type message struct {
	netFn, command uint8
	size           uint16
	data           *byte
}

// request is struct ipmi_req.
type request struct {
	addr     *address
	addrSize uint32
	id       int64
	message  message
}

// received is struct ipmi_recv.
type received struct {
	kind     int32
	addr     *address
	addrSize uint32
	id       int64
	message  message
}

// Device is an open /dev/ipmi0. It is used by one goroutine at a time.
type Device struct {
	file *os.File
	last int64
}

// Open opens the device: /dev/ipmi0.
func Open(path string) (*Device, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the way to the BMC: %w", err)
	}
	return &Device{file: f}, nil
}

// Close gives the device back.
func (d *Device) Close() error { return d.file.Close() }

// Send implements bmc.Port.
func (d *Device) Send(ctx context.Context, netFn, command uint8, data []byte) ([]byte, error) {
	d.last++
	if err := d.send(netFn, command, data); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(answerTime)
	for {
		if err := d.wait(ctx, deadline); err != nil {
			return nil, err
		}
		answer, mine, err := d.receive(netFn, command)
		if err != nil || mine {
			return answer, err
		}
	}
}

func (d *Device) send(netFn, command uint8, data []byte) error {
	to := address{kind: systemInterface, channel: bmcChannel}
	r := request{addr: &to, addrSize: addressSize, id: d.last, message: message{netFn: netFn, command: command, size: uint16(len(data))}}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&to)
	if len(data) > 0 {
		pin.Pin(&data[0])
		r.message.data = &data[0]
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.file.Fd(), sendCommand, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return fmt.Errorf("sending to the BMC: %w", errno)
	}
	return nil
}

// wait returns when something came, in steps short enough to notice the end of ctx.
func (d *Device) wait(ctx context.Context, deadline time.Time) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errNoAnswer
		}
		fds := []unix.PollFd{{Fd: int32(d.file.Fd()), Events: unix.POLLIN}}
		switch n, err := unix.Poll(fds, 250); {
		case errors.Is(err, unix.EINTR), err == nil && n == 0:
		case err != nil:
			return fmt.Errorf("waiting for the BMC: %w", err)
		default:
			return nil
		}
	}
}

// receive takes one message; it is ours if it answers the last command. Late answers and events are dropped.
func (d *Device) receive(netFn, command uint8) ([]byte, bool, error) {
	var from address
	buffer := make([]byte, maxAnswer)
	r := received{addr: &from, addrSize: uint32(unsafe.Sizeof(from)), message: message{size: maxAnswer, data: &buffer[0]}}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&from)
	pin.Pin(&buffer[0])
	switch _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.file.Fd(), receiveTrunc, uintptr(unsafe.Pointer(&r))); errno {
	case 0, unix.EMSGSIZE:
	case unix.EAGAIN, unix.EINTR:
		return nil, false, nil
	default:
		return nil, false, fmt.Errorf("receiving from the BMC: %w", errno)
	}
	return take(&r, buffer, d.last, netFn, command)
}

// take judges what the kernel gave.
func take(r *received, buffer []byte, id int64, netFn, command uint8) ([]byte, bool, error) {
	if r.kind != responseType || r.id != id || r.message.netFn != netFn|1 || r.message.command != command {
		return nil, false, nil
	}
	return buffer[:min(int(r.message.size), len(buffer))], true, nil
}
