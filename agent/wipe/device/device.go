// Package device is the port wipe.Device for the disks of a running Linux kernel.
//
// Layer 2, adapter: x/sys/unix and sysfs. NVMe commands go through the kernel's passthrough (agent/wipe/nvme), ATA commands through
// SG_IO (agent/wipe/ata).
//
// Invariants: a disk is opened exclusively, so that nothing that is mounted or assembled from it can be hit; what it says of itself
// is read from sysfs by the device number of the open handle, so that a name that moved to another disk is noticed; reads and
// writes go past the page cache.
package device

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/ata"
	"ingot.dev/ingot/agent/wipe/nvme"
	"ingot.dev/ingot/agent/wipe/plan"
)

// System opens disks.
type System struct {
	// Dev and Sys are /dev and /sys, or a test's.
	Dev, Sys string
	// After is time.After, or a fake of tests.
	After func(time.Duration) <-chan time.Time
}

// device is an open disk.
type device struct {
	fd int
	// sys is the folder of the disk in sysfs.
	sys   string
	after func(time.Duration) <-chan time.Time
	// nvme and ata are nil for disks that do not speak them.
	nvme nvme.Port
	ata  ata.Port
	// nsid asks for the namespace of this very handle.
	nsid func() (uint32, error)
	// zeros is memory to write from.
	zeros []byte
}

var (
	// partOfATA tells disks that speak ATA: behind an ATA port, or behind a SAS controller that translates.
	partOfATA    = regexp.MustCompile(`/(ata[0-9]+|end_device-[0-9:]+)/`)
	partOfVirtio = regexp.MustCompile(`/virtio[0-9]+/block/`)
	partOfNVMe   = regexp.MustCompile(`/nvme[0-9]+n[0-9]+$`)
)

// Open opens a disk for this program alone. It fails with EBUSY while anything holds the disk or a part of it.
func (s System) Open(_ context.Context, name string) (wipe.Device, error) {
	fd, err := unix.Open(filepath.Join(s.Dev, filepath.Base(name)), unix.O_RDWR|unix.O_EXCL|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the disk for this program alone: %w", err)
	}
	d, err := s.device(fd)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return d, nil
}

func (s System) device(fd int) (*device, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("asking for the device number: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return nil, errors.New("this is no block device")
	}
	link := filepath.Join(s.Sys, "dev/block", fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
	sys, err := filepath.EvalSymlinks(link)
	if err != nil {
		return nil, fmt.Errorf("looking for the disk in sysfs: %w", err)
	}
	zeros, err := unix.Mmap(-1, 0, zerosLength, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("getting memory to write from: %w", err)
	}
	d := &device{fd: fd, sys: sys, after: s.After, zeros: zeros}
	if partOfNVMe.MatchString(sys) {
		d.nvme, d.nsid = passthrough{fd}, func() (uint32, error) { return nsidOf(fd) }
	}
	if partOfATA.MatchString(sys) {
		d.ata = translated{fd}
	}
	return d, nil
}

// EraseDisk has the disk erase itself.
func (d *device) EraseDisk(ctx context.Context, s plan.Step, percent func(int)) error {
	switch {
	case s.Method == plan.NVMeFormat && d.nvme != nil:
		nsid, err := d.nsid()
		if err != nil {
			return err
		}
		return nvme.Format(d.nvme, nsid, s.Kind)
	case s.Method == plan.NVMeSanitize && d.nvme != nil:
		return nvme.Sanitize(ctx, d.nvme, s.Kind, d.after, percent)
	case s.Method == plan.ATASanitize && d.ata != nil:
		return ata.Sanitize(ctx, d.ata, s.Kind, d.after, percent)
	case s.Method == plan.ATASecurityErase && d.ata != nil:
		return ata.SecurityErase(d.ata)
	}
	return fmt.Errorf("the disk has no %s", s.Method)
}

// Close lets the disk go.
func (d *device) Close() error {
	return errors.Join(unix.Munmap(d.zeros), unix.Close(d.fd))
}
