package modules

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// kernel notes what is loaded; a module may show new devices or fail.
type kernel struct {
	loaded []string
	brings map[string]func()
	fails  map[string]error
}

func (k *kernel) insert(file string) error {
	if err := k.fails[file]; err != nil {
		return err
	}
	k.loaded = append(k.loaded, file)
	if show := k.brings[file]; show != nil {
		show()
	}
	return nil
}

var index = Index{
	Always: []string{"virtio_rng", "sd-mod"},
	Modules: []Module{
		{Name: "scsi_mod", File: "scsi_mod.ko"},
		{Name: "sd_mod", File: "sd_mod.ko", Deps: []string{"scsi_mod", "built_in"}},
		{Name: "virtio_rng", File: "virtio_rng.ko"},
		{Name: "i2c_algo_bit", File: "i2c_algo_bit.ko"},
		{Name: "igb", File: "igb.ko", Deps: []string{"i2c_algo_bit"}, Aliases: []string{"pci:v00008086d00001521sv*sd*bc*sc*i*"}},
		{Name: "virtio_scsi", File: "virtio_scsi.ko", Deps: []string{"scsi-mod"}, Aliases: []string{"virtio:d00000008v*"}},
		{Name: "usb_storage", File: "usb_storage.ko", Aliases: []string{"usb:v*p*d*dc*dsc*dp*ic08isc0[0-6]ip50in*"}},
		{Name: "loop_a", File: "a.ko", Deps: []string{"loop_b"}, Aliases: []string{"acpi*:LOOP:*"}},
		{Name: "loop_b", File: "b.ko", Deps: []string{"loop_a"}},
	},
}

func device(tree fstest.MapFS, bus, name, alias string) {
	tree["sys/bus/"+bus+"/devices/"+name+"/modalias"] = &fstest.MapFile{Data: []byte(alias + "\n")}
}

func loader(tree fs.FS, k *kernel, console *strings.Builder) *Loader {
	return New(Config{
		Index: index, Root: tree, Insert: k.insert, After: func(time.Duration) <-chan time.Time { return nil },
		Log: slog.New(slog.NewTextHandler(console, nil)),
	})
}

func TestAlwaysLoadsNeedsFirstAndOnce(t *testing.T) {
	k, console := &kernel{}, &strings.Builder{}
	l := loader(fstest.MapFS{}, k, console)
	if n := l.Always(t.Context()); n != 3 || !slices.Equal(k.loaded, []string{"virtio_rng.ko", "scsi_mod.ko", "sd_mod.ko"}) {
		t.Errorf("got %d, %v", n, k.loaded)
	}
	if n := l.Always(t.Context()); n != 0 {
		t.Errorf("a second time it loads %d", n)
	}
}

func TestColdplugFollowsDevices(t *testing.T) {
	tree, console := fstest.MapFS{}, &strings.Builder{}
	device(tree, "pci", "0000:00:01.0", "pci:v00008086d00001521sv00008086sd00000001bc02sc00i00")
	device(tree, "pci", "0000:00:02.0", "pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00")
	device(tree, "usb", "1-1:1.0", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00")
	// The driver of the interface brings a bus with another device.
	k := &kernel{brings: map[string]func(){"igb.ko": func() { device(tree, "virtio", "virtio0", "virtio:d00000008v00001AF4") }}}
	l := loader(tree, k, console)
	l.Coldplug(t.Context())
	want := []string{"i2c_algo_bit.ko", "igb.ko", "usb_storage.ko", "scsi_mod.ko", "virtio_scsi.ko"}
	if !slices.Equal(k.loaded, want) {
		t.Errorf("got %v, want %v", k.loaded, want)
	}
}

func TestACircleInTheIndexEnds(t *testing.T) {
	tree, k := fstest.MapFS{}, &kernel{}
	device(tree, "acpi", "LOOP:00", "acpi:LOOP:PNP0001:")
	loader(tree, k, &strings.Builder{}).Coldplug(t.Context())
	if !slices.Equal(k.loaded, []string{"b.ko", "a.ko"}) {
		t.Errorf("got %v", k.loaded)
	}
}

func TestADriverThatFailsOrHangsIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		hangs bool
		says  string
	}{"fails": {errors.New("invalid module format"), false, "invalid module format"}, "hangs": {nil, true, "did not start within 30s"}} {
		console := &strings.Builder{}
		release := make(chan struct{})
		defer close(release)
		k := &kernel{fails: map[string]error{"virtio_rng.ko": c.err}}
		l := loader(fstest.MapFS{}, k, console)
		if c.hangs {
			l.insert = func(file string) error {
				if file == "virtio_rng.ko" {
					<-release
					return nil
				}
				return nil
			}
			calls := 0
			l.after = func(time.Duration) <-chan time.Time {
				// The first module is the one that hangs.
				if calls++; calls > 1 {
					return nil
				}
				expired := make(chan time.Time, 1)
				expired <- time.Time{}
				return expired
			}
		}
		if n := l.Always(t.Context()); n != 2 {
			t.Errorf("%s: %d modules loaded, want the other two", name, n)
		}
		if out := console.String(); !strings.Contains(out, "virtio_rng") || !strings.Contains(out, c.says) {
			t.Errorf("%s: the console says %s", name, out)
		}
	}
}

func TestWatchIsBounded(t *testing.T) {
	tree, k := fstest.MapFS{}, &kernel{}
	l := loader(tree, k, &strings.Builder{})
	polls := 0
	tick := make(chan time.Time, 1)
	l.after = func(d time.Duration) <-chan time.Time {
		if d != time.Second {
			return nil
		}
		if polls++; polls == 3 {
			device(tree, "virtio", "virtio0", "virtio:d00000008v00001AF4")
		}
		tick <- time.Time{}
		return tick
	}
	l.Watch(context.Background(), time.Second, 10*time.Second)
	if polls != 10 || !slices.Equal(k.loaded, []string{"scsi_mod.ko", "virtio_scsi.ko"}) {
		t.Errorf("%d polls, %v", polls, k.loaded)
	}
}

func TestReadIndex(t *testing.T) {
	image := fstest.MapFS{"index.json": {Data: []byte(`{"modules":[{"name":"igb","file":"igb.ko","deps":["dca"],"aliases":["pci:v1*"]}],"always":["igb"]}`)}}
	got, err := ReadIndex(image)
	if err != nil || len(got.Modules) != 1 || got.Modules[0].Deps[0] != "dca" || got.Always[0] != "igb" {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, image := range map[string]fstest.MapFS{"nothing": {}, "broken": {"index.json": {Data: []byte("{")}}} {
		if _, err := ReadIndex(image); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("pci:v00008086d00001521sv*sd*bc*sc*i*", "pci:v00008086d00001521sv00008086sd00000001bc02sc00i00")
	f.Add("usb:[", "usb:x")
	f.Fuzz(func(t *testing.T, pattern, alias string) {
		got := newTable([]Module{{Name: "m", Aliases: []string{pattern}}}).match(alias)
		if len(got) > 1 {
			t.Errorf("one pattern gave %v", got)
		}
	})
}
