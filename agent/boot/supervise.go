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

// Supervise runs this program again as a child, collects every process that ends, and returns when the child did: nil after
// an orderly end, an error that says what happened otherwise.
func Supervise() error {
	worker, err := os.StartProcess("/proc/self/exe", []string{"ingot-agent"}, &os.ProcAttr{
		// The limit is soft: it makes the collector work earlier on machines with little memory.
		Env:   []string{workerVariable + "=1", "GOTRACEBACK=single", "GOMEMLIMIT=48MiB"},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("waiting for the agent: %w", err)
		case pid == worker.Pid:
			return outcome(status)
		}
	}
}

// outcome tells how a process ended.
func outcome(status unix.WaitStatus) error {
	switch {
	case status.Signaled():
		return fmt.Errorf("the agent was ended by signal %s", status.Signal())
	case status.ExitStatus() != 0:
		return fmt.Errorf("the agent ended with status %d", status.ExitStatus())
	}
	return nil
}

// Restart writes everything to the disks that is not there yet and restarts the machine. It returns only on failure.
func Restart(log *slog.Logger) {
	log.Info("restarting the machine")
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		log.Error("the kernel refuses to restart; power-cycle the machine", "error", err)
	}
}

// Pause gives a person time to read the last messages.
func Pause(log *slog.Logger, d time.Duration) {
	log.Info("the machine restarts after a pause", "seconds", d.Seconds())
	<-time.After(d)
}
