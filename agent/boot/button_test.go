package boot

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// key is one input event.
func key(kind, code uint16, value int32) []byte {
	b := make([]byte, eventSize)
	binary.NativeEndian.PutUint16(b[16:], kind)
	binary.NativeEndian.PutUint16(b[18:], code)
	binary.NativeEndian.PutUint32(b[20:], uint32(value))
	return b
}

func TestReadPresses(t *testing.T) {
	for name, c := range map[string]struct {
		events [][]byte
		want   int
	}{
		"press and release":  {[][]byte{key(1, 116, 1), key(0, 0, 0), key(1, 116, 0)}, 1},
		"held down":          {[][]byte{key(1, 116, 1), key(1, 116, 2), key(1, 116, 2)}, 1},
		"another key":        {[][]byte{key(1, 30, 1), key(1, 142, 1)}, 0},
		"not a key":          {[][]byte{key(2, 116, 1)}, 0},
		"two presses":        {[][]byte{key(1, 116, 1), key(1, 116, 0), key(1, 116, 1)}, 2},
		"cut in the middle":  {[][]byte{key(1, 116, 1)[:20]}, 0},
		"nothing":            {nil, 0},
		"press, then cut":    {[][]byte{key(1, 116, 1), {1, 2}}, 1},
		"a negative repeat":  {[][]byte{key(1, 116, -1)}, 0},
		"sleep is not power": {[][]byte{key(1, 142, 1)}, 0},
	} {
		n := 0
		if err := readPresses(bytes.NewReader(bytes.Join(c.events, nil)), func() { n++ }); err == nil || n != c.want {
			t.Errorf("%s: %d presses, %v", name, n, err)
		}
	}
}

func FuzzReadPresses(f *testing.F) {
	f.Add(key(1, 116, 1))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_ = readPresses(bytes.NewReader(b), func() { n++ })
		if n > len(b)/eventSize {
			t.Errorf("%d presses in %d bytes", n, len(b))
		}
	})
}

func TestHasBit(t *testing.T) {
	for bitmap, want := range map[string]bool{
		"10000000000000 0":      true, // ACPI's power button
		"8000 10000000000000 0": true, "0": false, "": false, "10000000000000": false, "zz 0": false,
		"402000007 ff803078f800d001 feffffdfffefffff fffffffffffffffe": true, // a keyboard with one
		"402000007 ff803078f800d001 fe":                                false,
	} {
		if got := hasBit(bitmap+"\n", keyPower); got != want {
			t.Errorf("%q: got %v", bitmap, got)
		}
	}
}

func FuzzHasBit(f *testing.F) {
	f.Add("10000000000000 0")
	f.Fuzz(func(_ *testing.T, s string) { hasBit(s, keyPower) })
}

// TestButtonIsFoundLate: a device that a driver shows later is heard, each device once, and nothing outlives ctx.
func TestButtonIsFoundLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sys := fstest.MapFS{}
		show := func(name, keys string) {
			sys["sys/class/input/"+name+"/device/capabilities/key"] = &fstest.MapFile{Data: []byte(keys)}
		}
		show("event0", "0") // a mouse
		opened, polls := map[string]int{}, 0
		after := func(d time.Duration) <-chan time.Time {
			if polls++; polls == 3 {
				show("event1", "10000000000000 0")
			}
			return time.After(d)
		}
		r, w := io.Pipe()
		b := Button{
			Root: sys, After: after, Log: slog.New(slog.DiscardHandler), Poll: time.Second, Most: time.Minute,
			Open: func(name string) (io.ReadCloser, error) { opened[name]++; return r, nil },
		}
		presses := b.Presses(ctx)
		<-time.After(5 * time.Second)
		if _, err := w.Write(key(1, 116, 1)); err != nil {
			t.Fatal(err)
		}
		<-presses
		<-time.After(2 * time.Minute)
		if len(opened) != 1 || opened["event1"] != 1 {
			t.Errorf("opened %v", opened)
		}
		cancel()
	})
}
