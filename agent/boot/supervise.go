package boot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// workerVariable marks the child that does the work.
const workerVariable = "INGOT_AGENT_WORKER"

// IsWorker says whether this process is the supervisor's child.
func IsWorker() bool { return os.Getenv(workerVariable) == "1" && os.Getppid() == 1 }

// Ending is what the machine shall do after the worker.
type Ending int

// The endings. A worker that failed restarts the machine.
const (
	EndRestart Ending = iota
	EndPowerOff
)

// statusPowerOff is how a worker that wants the machine off ends. Go's runtime ends with 2 and a failed worker with 1.
const statusPowerOff = 64

// End ends the worker in order, so that the supervisor lets the machine do what e says. It never returns.
func End(e Ending) {
	if e == EndPowerOff {
		os.Exit(statusPowerOff)
	}
	os.Exit(0)
}

// Supervise runs this program again as a child, collects every process that ends, and returns when the child did: what it wants
// after an orderly end, an error that says what happened otherwise.
func Supervise() (Ending, error) {
	worker, err := os.StartProcess("/proc/self/exe", []string{"ingot-agent"}, &os.ProcAttr{
		// The limit is soft: it makes the collector work earlier on machines with little memory.
		Env:   []string{workerVariable + "=1", "GOTRACEBACK=single", "GOMEMLIMIT=48MiB"},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return EndRestart, fmt.Errorf("starting the agent: %w", err)
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return EndRestart, fmt.Errorf("waiting for the agent: %w", err)
		case pid == worker.Pid:
			return outcome(status)
		}
	}
}

// outcome tells how a process ended.
func outcome(status unix.WaitStatus) (Ending, error) {
	switch {
	case status.Signaled():
		return EndRestart, fmt.Errorf("the agent was ended by signal %s", status.Signal())
	case status.ExitStatus() == statusPowerOff:
		return EndPowerOff, nil
	case status.ExitStatus() != 0:
		return EndRestart, fmt.Errorf("the agent ended with status %d", status.ExitStatus())
	}
	return EndRestart, nil
}

// Restart writes everything to the disks that is not there yet and restarts the machine. It returns only on failure.
func Restart(log *slog.Logger) {
	log.Info("restarting the machine")
	flush(log)
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		log.Error("the kernel refuses to restart; power-cycle the machine", "error", err)
	}
}

// PowerOff writes everything to the disks that is not there yet and switches the machine off, by ACPI on all servers. It returns only on failure.
func PowerOff(log *slog.Logger) {
	log.Info("switching the machine off")
	flush(log)
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		log.Error("the kernel refuses to switch off; hold the power button", "error", err)
	}
}

// flushTime bounds the wait for caches: a disk that hangs must not keep the machine on.
const flushTime = 20 * time.Second

// flush writes out what the kernel still holds for disks.
func flush(log *slog.Logger) {
	done := make(chan struct{})
	go func() {
		unix.Sync()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(flushTime):
		log.Warn("a disk does not take what it should write; going on without it", "after", flushTime)
	}
}

// Pause gives a person time to read the last messages.
func Pause(log *slog.Logger, d time.Duration) {
	log.Info("the machine goes on after a pause", "seconds", d.Seconds())
	<-time.After(d)
}
