package device

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"ingot.dev/ingot/agent/wipe/plan"
)

// zerosLength is how much one write carries: enough to keep a fast disk busy.
const zerosLength = 8 << 20

// ReadAt reads past the page cache.
func (d *device) ReadAt(b []byte, offset int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(d.fd, b[done:], offset+int64(done))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return done, fmt.Errorf("reading: %w", err)
		case n == 0:
			return done, io.ErrUnexpectedEOF
		default:
			done += n
		}
	}
	return done, nil
}

// EraseRange discards, zeroes or overwrites a part of the disk.
func (d *device) EraseRange(m plan.Method, r plan.Range) error {
	switch m {
	case plan.Discard:
		return d.rangeControl(unix.BLKDISCARD, r, "discarding")
	case plan.ZeroOut:
		return d.rangeControl(unix.BLKZEROOUT, r, "zeroing")
	case plan.Overwrite:
		return d.overwrite(r)
	default:
		return fmt.Errorf("%s is nothing for a part of a disk", m)
	}
}

func (d *device) rangeControl(request uint, r plan.Range, verb string) error {
	pair := [2]uint64{uint64(r.Offset), uint64(r.Length)}
	if err := control(d.fd, request, unsafe.Pointer(&pair)); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

func (d *device) overwrite(r plan.Range) error {
	for r.Length > 0 {
		n, err := unix.Pwrite(d.fd, d.zeros[:min(r.Length, zerosLength)], r.Offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("writing zeros at byte %d: %w", r.Offset, err)
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		r.Offset, r.Length = r.Offset+int64(n), r.Length-int64(n)
	}
	return nil
}

// Flush has the disk write its cache out, and drops the pages of the kernel's.
func (d *device) Flush() error {
	if err := unix.Fsync(d.fd); err != nil {
		return fmt.Errorf("flushing the disk's cache: %w", err)
	}
	if err := unix.IoctlSetInt(d.fd, unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("dropping the kernel's cache: %w", err)
	}
	return nil
}

// Rescan has the kernel read the partition table again. Devices that can have no partitions answer EINVAL.
func (d *device) Rescan() error {
	err := unix.IoctlSetInt(d.fd, unix.BLKRRPART, 0)
	if err == nil || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return fmt.Errorf("reading the partition table again: %w", err)
}

func (d *device) size() (int64, error) {
	var n uint64
	if err := control(d.fd, unix.BLKGETSIZE64, unsafe.Pointer(&n)); err != nil {
		return 0, fmt.Errorf("asking for the size: %w", err)
	}
	if n > 1<<62 {
		return 0, fmt.Errorf("the disk says that it has %d bytes", n)
	}
	return int64(n), nil
}

// control is ioctl with a pointer. A positive answer is an error too here: NVMe's come through answer instead.
func control(fd int, request uint, p unsafe.Pointer) error {
	_, err := answer(fd, request, p)
	return err
}

func answer(fd int, request uint, p unsafe.Pointer) (uintptr, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(p))
		runtime.KeepAlive(p)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return n, nil
	}
}
