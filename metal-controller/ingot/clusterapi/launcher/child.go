package launcher

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// childGrace is how long a child may take to end after SIGTERM; then it is killed.
const childGrace = 20 * time.Second

// Child is the Run of a program that is another executable. args are its arguments at these places. It is ready once its webhooks answer, and dies with this process.
func Child(path string, args func(places []Place) []string) func(context.Context, int, []Place, func()) error {
	return func(ctx context.Context, _ int, places []Place, ready func()) error {
		cmd := exec.CommandContext(ctx, path, args(places)...)
		cmd.Stdout, cmd.Stderr = places[0].Log, places[0].Log
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = childGrace
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		running, ended := context.WithCancel(ctx)
		defer ended()
		go func() {
			if awaitAnswers(running, places) == nil {
				ready()
			}
		}()
		runtime.LockOSThread() // Pdeathsig is sent when the thread that forked ends
		defer runtime.UnlockOSThread()
		if err := cmd.Run(); ctx.Err() == nil {
			if err == nil {
				err = errors.New("it ended without an error")
			}
			return fmt.Errorf("running %s: %w", path, err)
		}
		return nil
	}
}
