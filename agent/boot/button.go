package boot

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// Numbers of Linux's input-event-codes.h.
const (
	typeKey  = 1   // EV_KEY
	keyPower = 116 // KEY_POWER
	pressed  = 1
)

// eventSize is that of struct input_event on 64-bit machines: two words of time, type, code, value.
const eventSize = 24

// Button hears the power button: ACPI's, and that of keyboards. A BMC's graceful shutdown presses the former.
type Button struct {
	// Root holds sys.
	Root fs.FS
	// Open opens /dev/input/NAME for reading; OpenInput on a real machine.
	Open func(name string) (io.ReadCloser, error)
	// After is time.After, or a fake of tests.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
	// Poll is the time between looks for new devices, Most how long to look: drivers show some late.
	Poll, Most time.Duration
}

// OpenInput opens a device of /dev/input.
func OpenInput(name string) (io.ReadCloser, error) {
	return os.Open(path.Join("/dev/input", path.Base(name)))
}

// Presses sends once for each press, until ctx ends.
func (b Button) Presses(ctx context.Context) <-chan struct{} {
	presses := make(chan struct{}, 1)
	go b.find(ctx, presses)
	return presses
}

// find starts to listen to each device with a power key, once.
func (b Button) find(ctx context.Context, presses chan<- struct{}) {
	seen := map[string]bool{}
	for waited := time.Duration(0); ; waited += b.Poll {
		for _, name := range b.devices() {
			if !seen[name] {
				seen[name] = true
				go b.listen(ctx, name, presses)
			}
		}
		if waited >= b.Most {
			return
		}
		select {
		case <-b.After(b.Poll):
		case <-ctx.Done():
			return
		}
	}
}

// devices are the names of those with a power key.
func (b Button) devices() []string {
	const class = "sys/class/input"
	entries, err := fs.ReadDir(b.Root, class)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		keys, err := fs.ReadFile(b.Root, path.Join(class, e.Name(), "device/capabilities/key"))
		if err == nil && strings.HasPrefix(e.Name(), "event") && hasBit(string(keys), keyPower) {
			out = append(out, e.Name())
		}
	}
	return out
}

// hasBit reads a bitmap of sysfs: 64-bit words in hexadecimal, the most significant first (Linux, drivers/input/input.c, input_bits_to_string).
func hasBit(bitmap string, bit int) bool {
	words := strings.Fields(bitmap)
	at := len(words) - 1 - bit/64
	if at < 0 {
		return false
	}
	word, err := strconv.ParseUint(words[at], 16, 64)
	return err == nil && word&(1<<(bit%64)) != 0
}

func (b Button) listen(ctx context.Context, name string, presses chan<- struct{}) {
	f, err := b.Open(name)
	if err != nil {
		b.Log.Warn("cannot hear the power button", "device", name, "error", err)
		return
	}
	// Closing ends the read.
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer stop()
	err = readPresses(f, func() {
		select {
		case presses <- struct{}{}:
		default:
		}
	})
	if ctx.Err() == nil {
		b.Log.Warn("the power button is not heard any more", "device", name, "error", err)
		_ = f.Close()
	}
}

// readPresses calls heard for each press of the power key until the stream ends.
func readPresses(r io.Reader, heard func()) error {
	event := make([]byte, eventSize)
	for {
		if _, err := io.ReadFull(r, event); err != nil {
			return fmt.Errorf("reading key presses: %w", err)
		}
		kind, code := binary.NativeEndian.Uint16(event[16:]), binary.NativeEndian.Uint16(event[18:])
		if value := int32(binary.NativeEndian.Uint32(event[20:])); kind == typeKey && code == keyPower && value == pressed {
			heard()
		}
	}
}
