package device

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ingot.dev/ingot/agent/wipe/ata"
	"ingot.dev/ingot/agent/wipe/nvme"
)

// Requests of linux/nvme_ioctl.h and scsi/sg.h.
const (
	nvmeID    = 0x4E40     // _IO('N', 0x40): the namespace of a block device
	nvmeAdmin = 0xC0484E41 // _IOWR('N', 0x41, struct nvme_passthru_cmd), 72 bytes
	sgIO      = 0x2285
)

// nvmeCommand is struct nvme_passthru_cmd.
type nvmeCommand struct {
	opcode, flags                            uint8
	rsvd1                                    uint16
	nsid, cdw2, cdw3                         uint32
	metadata, addr                           uint64
	metadataLen, dataLen                     uint32
	cdw10, cdw11, cdw12, cdw13, cdw14, cdw15 uint32
	timeoutMS, result                        uint32
}

// passthrough sends NVMe admin commands through a namespace's block device.
type passthrough struct{ fd int }

// Admin implements nvme.Port. The kernel answers with a positive status when the controller did.
func (p passthrough) Admin(c nvme.Command) error {
	k := nvmeCommand{
		opcode: c.Opcode, nsid: c.NSID, cdw10: c.CDW10, cdw11: c.CDW11,
		dataLen: uint32(len(c.Data)), timeoutMS: milliseconds(c.Timeout),
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	if len(c.Data) > 0 {
		pin.Pin(&c.Data[0])
		k.addr = uint64(uintptr(unsafe.Pointer(&c.Data[0])))
	}
	// Not repeated on EINTR: a command that erases may have begun.
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), nvmeAdmin, uintptr(unsafe.Pointer(&k)))
	switch {
	case errno != 0:
		return fmt.Errorf("sending an NVMe command: %w", errno)
	case n != 0:
		return &nvme.StatusError{Status: uint16(n)}
	}
	return nil
}

// nsidOf asks for the namespace that an open block device is.
func nsidOf(fd int) (uint32, error) {
	n, err := answer(fd, nvmeID, nil)
	if err != nil {
		return 0, fmt.Errorf("asking for the namespace's number: %w", err)
	}
	return uint32(n), nil
}

// sgHeader is struct sg_io_hdr.
type sgHeader struct {
	interfaceID, direction           int32
	cmdLen, maxSense                 uint8
	iovecCount                       uint16
	dataLen                          uint32
	data, cmd, sense                 unsafe.Pointer
	timeoutMS, flags                 uint32
	packID                           int32
	_                                [4]byte
	usrPtr                           unsafe.Pointer
	status, masked, message, written uint8
	hostStatus, driverStatus         uint16
	resid                            int32
	duration, info                   uint32
}

const (
	sgNone    = -1
	sgToDev   = -2
	sgFromDev = -3
)

// translated sends ATA commands through SCSI (SAT-3, ATA PASS-THROUGH (16)).
type translated struct{ fd int }

// Do implements ata.Port.
func (t translated) Do(c ata.Command) (ata.Result, error) {
	cdb, sense := cdb16(c), make([]byte, 64)
	h := sgHeader{
		interfaceID: 'S', direction: sgNone, cmdLen: uint8(len(cdb)), maxSense: uint8(len(sense)),
		dataLen: uint32(len(c.Data)), timeoutMS: milliseconds(c.Timeout),
		cmd: unsafe.Pointer(&cdb[0]), sense: unsafe.Pointer(&sense[0]),
	}
	if len(c.Data) > 0 {
		h.data = unsafe.Pointer(&c.Data[0])
		h.direction = sgFromDev
		if c.Direction == ata.Out {
			h.direction = sgToDev
		}
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&cdb[0])
	pin.Pin(&sense[0])
	if h.data != nil {
		pin.Pin(h.data)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(t.fd), sgIO, uintptr(unsafe.Pointer(&h))); errno != 0 {
		return ata.Result{}, fmt.Errorf("sending an ATA command: %w", errno)
	}
	if h.hostStatus != 0 {
		return ata.Result{}, fmt.Errorf("the disk's controller answered with host status %#x", h.hostStatus)
	}
	return registers(sense[:min(int(h.written), len(sense))])
}

// cdb16 builds the command block: SAT-3 section 12.2.3.
func cdb16(c ata.Command) [16]byte {
	const operation, nonData, pioIn, pioOut = 0x85, 3, 4, 5
	// CK_COND makes the registers come back always; BYT_BLOK with T_LENGTH 2 counts blocks of 512 bytes in COUNT.
	const checkCondition, fromDevice, blocksInCount = 1 << 5, 1 << 3, 1<<2 | 2
	var b [16]byte
	b[0], b[1], b[2] = operation, nonData<<1, checkCondition
	switch c.Direction {
	case ata.None:
	case ata.In:
		b[1], b[2] = pioIn<<1, checkCondition|fromDevice|blocksInCount
	case ata.Out:
		b[1], b[2] = pioOut<<1, checkCondition|blocksInCount
	}
	if c.Extended {
		b[1] |= 1
	}
	b[3], b[4] = byte(c.Features>>8), byte(c.Features)
	b[5], b[6] = byte(c.Count>>8), byte(c.Count)
	b[7], b[8], b[9] = byte(c.LBA>>24), byte(c.LBA), byte(c.LBA>>32)
	b[10], b[11], b[12] = byte(c.LBA>>8), byte(c.LBA>>40), byte(c.LBA>>16)
	b[14] = c.Code
	return b
}

var errNoRegisters = errors.New("the disk's controller does not tell how the ATA command ended")

// registers reads the ATA status return descriptor out of descriptor sense data (SAT-3 section 12.2.2.6).
func registers(sense []byte) (ata.Result, error) {
	const descriptorSense, ataReturn, length = 0x72, 0x09, 14
	if len(sense) < 8+length || sense[0]&0x7f != descriptorSense || sense[8] != ataReturn {
		return ata.Result{}, errNoRegisters
	}
	d := sense[8 : 8+length]
	r := ata.Result{
		Count: uint16(d[4])<<8 | uint16(d[5]),
		LBA: uint64(d[7]) | uint64(d[9])<<8 | uint64(d[11])<<16 |
			uint64(d[6])<<24 | uint64(d[8])<<32 | uint64(d[10])<<40,
	}
	const errBit, faultBit = 1 << 0, 1 << 5
	if status := d[13]; status&(errBit|faultBit) != 0 {
		return r, fmt.Errorf("the disk aborted the command: status %#02x, error %#02x", status, d[3])
	}
	return r, nil
}

func milliseconds(d time.Duration) uint32 { return uint32(min(d/time.Millisecond, 1<<32-1)) }
