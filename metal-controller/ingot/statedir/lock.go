package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process holds the folder.
var ErrInUse = errors.New("in use by another ingot")

// acquire takes the folder's lock and leaves this process's id in it. The kernel drops the lock when the process ends, so a stale file does no harm.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(path, "locking", err)
	}
	if err := hold(path, f); err != nil {
		_ = f.Close() // nothing was written through it
		return nil, err
	}
	return f, nil
}

func hold(path string, f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("state folder %s is %w (%s); stop that one first, or name another folder with --state-dir", path, ErrInUse, holder(f))
	}
	if err != nil {
		return explain(path, "locking", err)
	}
	if err := f.Truncate(0); err != nil {
		return explain(path, "locking", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return explain(path, "locking", err)
	}
	return nil
}

// holder names the process that the lock file names. The holder may not have written its id yet.
func holder(f *os.File) string {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0) // a short file ends in io.EOF, which is no error here
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return "its PID is not known yet"
	}
	return fmt.Sprintf("PID %d", pid)
}
