package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Loader loads each module once. It is used by one goroutine at a time.
type Loader struct {
	index  Index
	byName map[string]Module
	table  table
	sys    fs.FS
	insert func(file string) error
	after  func(time.Duration) <-chan time.Time
	log    *slog.Logger
	// done holds modules, seen the files of devices.
	done, seen map[string]bool
}

// Config is what a Loader needs.
type Config struct {
	Index Index
	// Root holds sys.
	Root fs.FS
	// Insert gives a file below /modules to the kernel; Kernel on a real machine.
	Insert func(file string) error
	// After is time.After, or a fake of tests.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
}

// loadTime bounds the start of one module: some drivers probe their hardware in it.
const loadTime = 30 * time.Second

// New makes a Loader.
func New(c Config) *Loader {
	l := &Loader{
		index: c.Index, byName: map[string]Module{}, table: newTable(c.Index.Modules), sys: c.Root,
		insert: c.Insert, after: c.After, log: c.Log, done: map[string]bool{}, seen: map[string]bool{},
	}
	for _, m := range c.Index.Modules {
		l.byName[normal(m.Name)] = m
	}
	return l
}

// Always loads what every machine needs, and returns how many modules it loaded.
func (l *Loader) Always(ctx context.Context) int {
	n := 0
	for _, name := range l.index.Always {
		n += l.load(ctx, name)
	}
	return n
}

// maxRounds bounds Coldplug: a driver may bring new devices with it (a bus behind a bus), but not for ever.
const maxRounds = 8

// Coldplug loads the modules for all devices that are there now, and again for the devices that those brought.
// It returns how many modules it loaded.
func (l *Loader) Coldplug(ctx context.Context) int {
	total := 0
	for range maxRounds {
		devices := l.newModaliases()
		for _, alias := range devices {
			for _, name := range l.table.match(alias) {
				total += l.load(ctx, name)
			}
		}
		if len(devices) == 0 || ctx.Err() != nil {
			break
		}
	}
	return total
}

// Watch repeats Coldplug every poll until the bound is reached: devices appear while drivers probe.
func (l *Loader) Watch(ctx context.Context, poll, most time.Duration) {
	for waited := time.Duration(0); waited < most; waited += poll {
		select {
		case <-l.after(poll):
			l.Coldplug(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// maxDevices bounds what is kept in mind; the largest servers have some thousand devices.
const maxDevices = 16384

// newModaliases are the names of the devices on all buses that were not there at the last look, each name once. A device is
// read only once, since reading them all takes long on a large machine.
func (l *Loader) newModaliases() []string {
	var out []string
	for _, bus := range l.names("sys/bus") {
		devices := path.Join("sys/bus", bus, "devices")
		for _, device := range l.names(devices) {
			file := path.Join(devices, device, "modalias")
			if l.seen[file] || len(l.seen) >= maxDevices {
				continue
			}
			l.seen[file] = true
			if b, err := fs.ReadFile(l.sys, file); err == nil {
				out = append(out, strings.TrimSpace(string(b)))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (l *Loader) names(dir string) []string {
	entries, err := fs.ReadDir(l.sys, dir)
	if err != nil {
		return nil
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out
}

// load loads a module after what it needs, and returns how many modules that were.
func (l *Loader) load(ctx context.Context, name string) int {
	name = normal(name)
	m, known := l.byName[name]
	if !known || l.done[name] || ctx.Err() != nil {
		return 0
	}
	// Marked before its needs are loaded, so that a circle in the index ends.
	l.done[name] = true
	n := 0
	for _, dep := range m.Deps {
		n += l.load(ctx, dep)
	}
	if err := l.bounded(ctx, m.File); err != nil {
		l.log.Warn("cannot load driver", "driver", name, "error", err)
		return n
	}
	return n + 1
}

// bounded gives up waiting for a module that hangs in its start; the kernel goes on with it.
func (l *Loader) bounded(ctx context.Context, file string) error {
	result := make(chan error, 1)
	go func() { result <- l.insert(file) }()
	select {
	case err := <-result:
		return err
	case <-l.after(loadTime):
		return fmt.Errorf("it did not start within %s; going on without it", loadTime)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Kernel gives a module below dir to the kernel. A driver that finds no hardware is no error.
func Kernel(dir string) func(file string) error {
	return func(file string) error {
		f, err := os.Open(path.Join(dir, path.Clean("/"+file)))
		if err != nil {
			return fmt.Errorf("opening module: %w", err)
		}
		defer f.Close()
		switch err := unix.FinitModule(int(f.Fd()), "", 0); {
		case err == nil, errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENODEV):
			return nil
		default:
			return fmt.Errorf("loading module: %w", err)
		}
	}
}
