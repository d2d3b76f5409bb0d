package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// Terminal duplicates standard error for what is meant for people.
func Terminal() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stderr), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicating standard error: %w", err)
	}
	return os.NewFile(uintptr(fd), "terminal"), nil
}

// divert sends what libraries write to standard error into log: some hold loggers of their own that cannot be told otherwise. A crash of the
// program is still shown on the terminal. The returned function gives standard error back.
func divert(term *os.File, log io.Writer) (restore func() error, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe for standard error: %w", err)
	}
	if err := debug.SetCrashOutput(term, debug.CrashOptions{}); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping crashes on the terminal: %w", err), r.Close(), w.Close())
	}
	if err := unix.Dup3(int(w.Fd()), unix.Stderr, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("diverting standard error: %w", err), r.Close(), w.Close())
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(log, r) // a log that cannot be written must not stop the program
	}()
	return func() error {
		err := errors.Join(unix.Dup3(int(term.Fd()), unix.Stderr, 0), w.Close())
		<-copied
		return errors.Join(err, r.Close())
	}, nil
}

// tellFatal says on the terminal that a library has ended the program, which by itself it says in the log only. When the
// user ends a start, hooks of the API server miss what has ended before them and end the program: that is no failure, and etcd has synced what it has.
func tellFatal(ctx context.Context, p *progress, log string) {
	klog.OsExit = func(code int) {
		if ctx.Err() != nil {
			os.Exit(0)
		}
		p.say("error: the control plane cannot go on; the reason is at the end of %s", log)
		os.Exit(code)
	}
}
