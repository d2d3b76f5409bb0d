package wipe

import (
	"context"
	"io"

	"ingot.dev/ingot/agent/wipe/plan"
)

// Disk is a disk that is present, as the inventory tells it.
type Disk struct {
	// Name of the kernel, without /dev.
	Name, WWID, Serial, Model string
	// Transport is one of the inventory's words.
	Transport           string
	Removable, ReadOnly bool
}

// Identity is what an open device says of itself.
type Identity struct{ WWID, Serial string }

// Device is a disk that was opened for this program alone. Calls come from one goroutine at a time. Any of them may fail, and
// any of them may never return; after that the device is left alone.
type Device interface {
	// ReaderAt reads what is on the disk, past all caches. Offsets and lengths are multiples of the sector, and the memory is aligned
	// to 4096 bytes.
	io.ReaderAt
	// Identity reads again what the device of this very handle says of itself.
	Identity() (Identity, error)
	// Facts tells what a plan rests on.
	Facts(ctx context.Context) (plan.Disk, error)
	// EraseRange carries out Discard, ZeroOut or Overwrite on a part of the disk.
	EraseRange(m plan.Method, r plan.Range) error
	// EraseDisk carries out a step that the disk does by itself, and waits for its end. It reports percents if it knows them.
	EraseDisk(ctx context.Context, s plan.Step, percent func(int)) error
	// Flush writes out what caches hold, and drops them.
	Flush() error
	// Rescan makes the kernel forget the partitions that are gone.
	Rescan() error
	Close() error
}
