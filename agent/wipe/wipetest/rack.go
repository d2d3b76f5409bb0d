package wipetest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
)

// Rack are the disks of one machine.
type Rack []*Disk

// List is wipe.Config.List.
func (r Rack) List(context.Context) ([]wipe.Disk, error) {
	var out []wipe.Disk
	for _, d := range r {
		out = append(out, d.Info)
	}
	return out, nil
}

// Open is wipe.Config.Open.
func (r Rack) Open(_ context.Context, name string) (wipe.Device, error) {
	for _, d := range r {
		if d.Info.Name == name {
			d.mu.Lock()
			d.opened++
			d.mu.Unlock()
			return device{d}, nil
		}
	}
	return nil, os.ErrNotExist
}

// Grant names all disks.
func (r Rack) Grant(level plan.Level) wipe.Grant {
	g := wipe.Grant{Level: level}
	for _, d := range r {
		g.Disks = append(g.Disks, d.ID())
	}
	return g
}

// Config runs a wipe on the rack, with real time and foreseeable blocks.
func (r Rack) Config() wipe.Config {
	return wipe.Config{
		List: r.List, Open: r.Open, Random: rand.NewChaCha8([32]byte{1}), Now: time.Now, After: time.After,
		Log: slog.New(slog.DiscardHandler),
	}
}

// Throttled makes n disks that take so many bytes a second, for measuring whether all are wiped at once.
func Throttled(n int, size, rate int64) Rack {
	var out Rack
	for i := range n {
		d := New("sd"+string(rune('a'+i)), size)
		d.Rate, d.After = rate, time.After
		out = append(out, d)
	}
	return out
}

// Measure wipes the disks of one rack all at once, and those of another, made alike, one by one. It returns how long all took
// together, and how long the slowest took alone. It fails when a disk is not clean, since then the times mean nothing.
func Measure(ctx context.Context, alike func() Rack, level plan.Level) (together, slowest time.Duration, err error) {
	if together, err = timed(ctx, alike(), level); err != nil {
		return 0, 0, err
	}
	for _, d := range alike() {
		alone, err := timed(ctx, Rack{d}, level)
		if err != nil {
			return 0, 0, err
		}
		slowest = max(slowest, alone)
	}
	return together, slowest, nil
}

func timed(ctx context.Context, r Rack, level plan.Level) (time.Duration, error) {
	cfg := r.Config()
	began := cfg.Now()
	for _, row := range wipe.New(cfg, r.Grant(level)).Run(ctx).Disks {
		if row.Error != "" {
			return 0, fmt.Errorf("wiping %s: %s", row.Serial, row.Error)
		}
	}
	return cfg.Now().Sub(began), nil
}
