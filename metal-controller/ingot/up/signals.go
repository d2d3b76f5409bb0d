package up

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
)

// untilSignal is a context that the first signal ends; the second ends the process by exit, with the shell's code for that signal.
func untilSignal(parent context.Context, signals <-chan os.Signal, out io.Writer, exit func(int)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	gone := make(chan struct{})
	go func() {
		select {
		case <-signals:
		case <-gone:
			return
		}
		_, _ = fmt.Fprintln(out, "\nstopping; a second Ctrl-C stops at once") // as in progress.line
		cancel()
		select {
		case s := <-signals:
			exit(exitCode(s))
		case <-gone:
		}
	}()
	return ctx, func() { cancel(); close(gone) }
}

func exitCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 1
}
