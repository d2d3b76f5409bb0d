// Package wipetest has disks in memory that obey, lie, fail, hang, are slow or lose power, for tests and benchmarks of a wipe.
//
// Layer 5, proof: no program imports it.
//
//	rack := wipetest.Rack{wipetest.New("sda", 16<<20), wipetest.New("sdb", 16<<20)}
//	rack[1].Faults.Lies = map[plan.Method]bool{plan.ZeroOut: true}
//	wipe.New(rack.Config(), rack.Grant(plan.Clear)).Run(ctx)
package wipetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
)

// Fill is what a disk shows after it erased itself.
type Fill int

// Fills. NVMe names the first two in DLFEAT; noise is what a change of keys leaves.
const (
	Zeros Fill = iota
	Ones
	Noise
)

// Faults are what is wrong with a disk. The zero value is a good disk.
type Faults struct {
	// Lies are methods that are acknowledged and do nothing.
	Lies map[plan.Method]bool
	// Refuses are methods that fail at once.
	Refuses map[plan.Method]bool
	// FailsAt is the offset from which on EraseRange fails; 0 is never.
	FailsAt int64
	// Keeps is a part that no method changes, though it is acknowledged.
	Keeps plan.Range
	// PowerAfter is how many calls that erase work before the disk is gone; 0 is never.
	PowerAfter int
	// HangsOn is a method that does not return before Release is closed.
	HangsOn plan.Method
	// HangsReading makes every read hang likewise.
	HangsReading bool
	Release      chan struct{}
	// Unreadable is a part that cannot be read until it was written.
	Unreadable plan.Range
	// Impostor is what the open device says of itself, if it is not what the list says.
	Impostor *wipe.Identity
}

// Disk is a disk in memory.
type Disk struct {
	Info   wipe.Disk
	Facts  plan.Disk
	Faults Faults
	// Leaves is what EraseDisk leaves behind.
	Leaves Fill
	// Rate is how many bytes a second EraseRange takes; 0 has no limit. After serves it: time.After.
	Rate  int64
	After func(time.Duration) <-chan time.Time

	mu sync.Mutex
	// Data is the disk's contents; tests may look once the wipe is over.
	data    []byte
	calls   int
	writes  []plan.Method
	opened  int
	rescans int
}

// New makes a good solid state disk that is full of data which is no noise.
func New(name string, size int64) *Disk {
	d := &Disk{
		Info:  wipe.Disk{Name: name, WWID: "naa.5000c500" + name, Serial: "SER-" + name, Model: "Model " + name, Transport: "sata"},
		Facts: plan.Disk{Size: size, Sector: 512, DiscardMax: 1 << 30},
		data:  bytes.Repeat([]byte("data of a tenant "), int(size)/17+1)[:size],
	}
	return d
}

// ID is what a grant calls the disk.
func (d *Disk) ID() wipe.DiskID { return wipe.DiskID{WWID: d.Info.WWID, Serial: d.Info.Serial} }

// Write puts something on the disk.
func (d *Disk) Write(offset int64, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(d.data[offset:], b)
}

// Bytes is a copy of a part of the disk.
func (d *Disk) Bytes(r plan.Range) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.data[r.Offset : r.Offset+r.Length])
}

// Blank says whether the whole disk reads as zeros.
func (d *Disk) Blank() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return plan.Blank(d.data)
}

// Methods are the calls that erase, in order; neighbours that are alike count once.
func (d *Disk) Methods() []plan.Method {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]plan.Method(nil), d.writes...)
}

// Opened is how often the disk was opened, Rescans how often its partitions were read again.
func (d *Disk) Opened() int { d.mu.Lock(); defer d.mu.Unlock(); return d.opened }

// Rescans is how often the partitions were read again.
func (d *Disk) Rescans() int { d.mu.Lock(); defer d.mu.Unlock(); return d.rescans }

// device is the disk, open.
type device struct{ *Disk }

var errIO = fmt.Errorf("writing: %w", syscall.EIO)

func (d device) Identity() (wipe.Identity, error) {
	if d.Faults.Impostor != nil {
		return *d.Faults.Impostor, nil
	}
	return wipe.Identity{WWID: d.Info.WWID, Serial: d.Info.Serial}, nil
}

func (d device) Facts(context.Context) (plan.Disk, error) { return d.Disk.Facts, nil }

func (d device) ReadAt(b []byte, offset int64) (int, error) {
	if d.Faults.HangsReading {
		<-d.Faults.Release
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.dead():
		return 0, syscall.ENXIO
	case offset%int64(d.Disk.Facts.Sector) != 0 || len(b)%d.Disk.Facts.Sector != 0:
		return 0, syscall.EINVAL
	case overlaps(d.Faults.Unreadable, plan.Range{Offset: offset, Length: int64(len(b))}):
		return 0, syscall.EIO
	case offset+int64(len(b)) > int64(len(d.data)):
		return 0, errors.New("reading past the end")
	}
	return copy(b, d.data[offset:]), nil
}

func (d device) EraseRange(m plan.Method, r plan.Range) error {
	d.hang(m)
	if d.Rate > 0 {
		<-d.After(time.Duration(float64(r.Length) / float64(d.Rate) * float64(time.Second)))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.begin(m):
		return syscall.ENXIO
	case d.Faults.Refuses[m]:
		return syscall.EOPNOTSUPP
	case d.Faults.Lies[m]:
		return nil
	case d.Faults.FailsAt > 0 && r.Offset+r.Length > d.Faults.FailsAt:
		d.erase(plan.Range{Offset: r.Offset, Length: max(d.Faults.FailsAt-r.Offset, 0)}, Zeros)
		return errIO
	}
	d.erase(r, Zeros)
	return nil
}

func (d device) EraseDisk(ctx context.Context, s plan.Step, percent func(int)) error {
	d.hang(s.Method)
	percent(50)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !d.begin(s.Method):
		return syscall.ENXIO
	case d.Faults.Refuses[s.Method]:
		return syscall.EOPNOTSUPP
	case d.Faults.Lies[s.Method]:
		return nil
	}
	d.erase(plan.Range{Length: int64(len(d.data))}, d.Leaves)
	return nil
}

func (d device) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead() {
		return syscall.ENXIO
	}
	return nil
}

func (d device) Rescan() error { d.mu.Lock(); defer d.mu.Unlock(); d.rescans++; return nil }

func (d device) Close() error { return nil }

func (d *Disk) hang(m plan.Method) {
	if d.Faults.HangsOn != "" && d.Faults.HangsOn == m {
		<-d.Faults.Release
	}
}

// begin counts a call that erases, and says whether the disk still has power.
func (d *Disk) begin(m plan.Method) bool {
	if d.dead() {
		return false
	}
	d.calls++
	if n := len(d.writes); n == 0 || d.writes[n-1] != m {
		d.writes = append(d.writes, m)
	}
	return true
}

func (d *Disk) dead() bool { return d.Faults.PowerAfter > 0 && d.calls >= d.Faults.PowerAfter }

func (d *Disk) erase(r plan.Range, f Fill) {
	keep := d.Faults.Keeps
	kept := bytes.Clone(d.data[keep.Offset : keep.Offset+keep.Length])
	fill(d.data[r.Offset:r.Offset+r.Length], f, byte(d.calls))
	copy(d.data[keep.Offset:], kept)
	if overlaps(d.Faults.Unreadable, r) {
		d.Faults.Unreadable = plan.Range{}
	}
}

// fill writes a pattern; each key makes other noise.
func fill(b []byte, f Fill, key byte) {
	switch f {
	case Ones:
		for i := range b {
			b[i] = 0xFF
		}
	case Noise:
		chance := rand.NewChaCha8([32]byte{'k', 'e', 'y', key})
		_, _ = chance.Read(b)
	default:
		clear(b)
	}
}

func overlaps(a, b plan.Range) bool {
	return a.Length > 0 && a.Offset < b.Offset+b.Length && b.Offset < a.Offset+a.Length
}
