// Package wipe erases the disks that a grant names, all at once, and proves it by reading back.
//
// Layer 2, adapter: agent/wipe/plan decides (pure), this package runs, and the port Device has one real implementation,
// agent/wipe/device, and one for tests, agent/wipe/wipetest. It imports neither the protocol nor the inventory; whoever wires it
// (agent/session, agent/main) converts rows.
//
//	w := wipe.New(wipe.Config{List: present, Open: system.Open, Firmware: vars.Mend, Random: rand.Reader, Now: time.Now,
//		After: time.After, Log: log}, wipe.Grant{Level: plan.Clear, Disks: []wipe.DiskID{{WWID: "…", Serial: "…"}}})
//	go func() { receipt <- w.Run(ctx) }()  // one row for each disk of the grant, in its order
//	w.Progress()                           // at any time, from any goroutine
//
// Invariants:
//   - A disk that the grant does not name is never opened for writing. One that is removable, on USB or a fabric, read-only, of
//     unknown transport, or that shows twice is refused whatever the grant says.
//   - Right before the first write the open device itself is asked again who it is, and must say what the grant says.
//   - Each disk of the grant gets exactly one row. No error in it means: erased at the level that it names, and read back.
//   - A disk that fails, lies, hangs or vanishes does not hold up the others. A step that never returns is left behind in the
//     kernel after a bound; nothing more is sent to that disk.
//   - The boot entries of the firmware are mended only when every disk is clean.
package wipe

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"ingot.dev/ingot/agent/wipe/plan"
)

// DiskID names a disk by what it says of itself. All that is set must fit.
type DiskID struct{ WWID, Serial string }

// Grant is what was allowed: these disks, and no others.
type Grant struct {
	Level plan.Level
	Disks []DiskID
}

// Config has everything that a wipe needs of the world. All fields but Firmware are required.
type Config struct {
	// List tells all disks that are present now, not only those of the grant: it also serves to see a disk that shows twice.
	List func(context.Context) ([]Disk, error)
	// Open opens a disk by its kernel name, for this program alone.
	Open func(ctx context.Context, name string) (Device, error)
	// Firmware mends the boot entries and says in one line what became of them; nil leaves them alone.
	Firmware func(context.Context) string
	// Random chooses which blocks are read back; it must not be foreseeable.
	Random io.Reader
	Now    func() time.Time
	// After is time.After, or a fake of tests.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
}

// DiskReceipt is the row of one disk, field for field that of the agent's protocol.
type DiskReceipt struct {
	// WWID and Serial as the grant has them.
	WWID, Serial string
	Model        string
	SizeBytes    int64
	// Methods that the disk acknowledged, in order.
	Methods []string
	// Reached is empty when nothing was proven.
	Reached plan.Level
	// BlocksRead counts the blocks that were read back and were as they should be.
	BlocksRead int64
	Seconds    int64
	// Error is for people, at most 256 characters; empty when the disk is clean.
	Error string
}

// Receipt has one row for each disk of the grant, in its order.
type Receipt struct {
	Disks []DiskReceipt
	// Firmware says what became of the boot entries.
	Firmware string
}

// Wiper carries out one grant, once.
type Wiper struct {
	cfg   Config
	grant Grant
	jobs  []*job
}

// New prepares a wipe; nothing is touched before Run.
func New(cfg Config, g Grant) *Wiper {
	cfg.Random = &shared{r: cfg.Random}
	w := &Wiper{cfg: cfg, grant: g}
	for _, id := range g.Disks {
		w.jobs = append(w.jobs, newJob(cfg, g.Level, id))
	}
	return w
}

// Run wipes all disks at once and returns when each has its row. A cancelled ctx ends it early: disks that are not done get an
// error. It is to be called once.
func (w *Wiper) Run(ctx context.Context) Receipt {
	present, err := w.cfg.List(ctx)
	var all sync.WaitGroup
	for i, j := range w.jobs {
		if err != nil {
			j.fail(ctx, listError(err))
			continue
		}
		disk, refused := choose(present, w.grant.Disks, i)
		if refused != nil {
			j.fail(ctx, refused)
			continue
		}
		all.Go(func() { j.run(ctx, disk) })
	}
	all.Wait()
	return w.receipt(ctx)
}

// Progress tells how each disk fares, in the order of the grant.
func (w *Wiper) Progress() []Progress {
	out := make([]Progress, 0, len(w.jobs))
	for _, j := range w.jobs {
		out = append(out, j.gauge.read())
	}
	return out
}

func (w *Wiper) receipt(ctx context.Context) Receipt {
	var r Receipt
	clean := true
	for _, j := range w.jobs {
		r.Disks = append(r.Disks, j.row)
		clean = clean && j.row.Error == ""
	}
	switch {
	case w.cfg.Firmware == nil:
	case clean && ctx.Err() == nil:
		r.Firmware = w.cfg.Firmware(ctx)
	default:
		r.Firmware = "boot entries left as they are, since not every disk is clean"
	}
	return r
}

// shared lets all disks draw from one source of chance.
type shared struct {
	mu sync.Mutex
	r  io.Reader
}

// Read implements io.Reader.
func (s *shared) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.ReadFull(s.r, b)
}
