package boot

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Consoles opens every console that the kernel writes to, the screen and the serial line: nobody knows which one a person
// watches. Without any it falls back to standard error.
func Consoles() io.Writer {
	active, err := os.ReadFile("/sys/class/tty/console/active")
	if err != nil {
		return os.Stderr
	}
	var all broadcast
	for _, name := range strings.Fields(string(active)) {
		f, err := os.OpenFile(filepath.Join("/dev", filepath.Base(name)), os.O_WRONLY|unix.O_NOCTTY, 0)
		if err == nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return os.Stderr
	}
	return all
}

// broadcast writes to all; one console that fails must not silence the others.
type broadcast []io.Writer

func (b broadcast) Write(p []byte) (int, error) {
	for _, w := range b {
		_, _ = w.Write(p)
	}
	return len(p), nil
}

// Uptime is the time since the kernel started.
func Uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
