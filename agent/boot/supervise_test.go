package boot

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets this program play two other parts: process 1 of a namespace, and its worker.
func TestMain(m *testing.M) {
	switch {
	case IsWorker():
		playWorker()
	case os.Getpid() == 1:
		ending, err := Supervise()
		fmt.Println("ending:", ending, "outcome:", err)
	default:
		os.Exit(m.Run())
	}
}

// playWorker ends the way that the line on its standard input says.
func playWorker() {
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	switch strings.TrimSpace(line) {
	case "off":
		End(EndPowerOff)
	case "restart":
		End(EndRestart)
	case "fail":
		os.Exit(3)
	case "panic":
		done := make(chan struct{})
		go func() { panic("a fault in some goroutine") }()
		<-done
	case "killed":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "orphan":
		// The child's child loses its parent at once, so that process 1 must collect it.
		_ = exec.Command("/bin/sh", "-c", "true & exit 0").Run()
	}
}

// TestSupervise runs in a process namespace, where it is process 1 as on a real machine.
func TestSupervise(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"end": "ending: 0 outcome: <nil>", "restart": "ending: 0 outcome: <nil>", "off": "ending: 1 outcome: <nil>",
		"orphan": "ending: 0 outcome: <nil>", "fail": "the agent ended with status 3",
		"panic": "the agent ended with status 2", "killed": "the agent was ended by signal killed",
	} {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Stdin = strings.NewReader(what + "\n")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %v\n%s", what, err, out)
		}
	}
}
