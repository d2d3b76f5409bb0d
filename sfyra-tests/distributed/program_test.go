package distributed

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// patience is how long a condition may take on a loaded machine. No test measures time.
const patience = 90 * time.Second

// program is a child process of ours.
type program struct {
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
}

// output is what a program said, read while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// here is the namespace of the tests themselves.
const here = netns.NsHandle(-1)

// start starts a program in a namespace. It ends with the test, and its output is shown when the test failed.
func start(t *testing.T, in netns.NsHandle, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(programPath(name), args...), out: &output{}, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "KUBECONFIG=")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: a child is born in its thread's namespace, and dies with that thread
		if in != here {
			if err := netns.Set(in); err != nil {
				started <- err
				return
			}
		}
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in ProcessState
			close(p.ended)
		}
	}()
	ok(t, <-started)
	t.Cleanup(func() {
		p.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("%s %s:\n%s", name, strings.Join(args, " "), p.out)
		}
	})
	return p
}

// stop sends a signal and waits for the end.
func (p *program) stop(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended already
	<-p.ended
}

// failure runs a program that is to end by itself with an error, and returns what it said.
func failure(t *testing.T, name string, args ...string) string {
	t.Helper()
	p := start(t, here, name, args...)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s did not end; it said:\n%s", name, p.out)
	}
	if p.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%s ended with %v; want exit code 1", name, p.cmd.ProcessState)
	}
	return p.out.String()
}

// await asks until the answer is yes.
func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("it did not come to pass: %s", what)
		case <-tick.C:
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
