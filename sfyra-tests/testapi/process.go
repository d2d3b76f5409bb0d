package testapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
)

// patience is how long a start may take on a loaded machine. A healthy start takes about 3 s.
const patience = 5 * time.Minute

// Process is a running `ingot up --control-plane-only`.
type Process struct {
	*API
	cmd    *exec.Cmd
	stderr *output
	ended  chan struct{}
	err    error // how the process ended; valid once ended is closed
}

// Start runs bin on the state folder dir, with further flags of `ingot up`, and returns when its API is ready. The port is any free one
// unless a flag says otherwise. The process dies with this one.
func Start(bin, dir string, flags ...string) (*Process, error) {
	p, err := Spawn(exec.Command(bin, append([]string{"up", "--control-plane-only", "--state-dir", dir, "--api-port", "0"}, flags...)...))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if p.API, err = p.waitReady(ctx, dir); err != nil {
		p.Kill()
		return nil, fmt.Errorf("%w\n%s", err, p.Stderr())
	}
	return p, nil
}

// Spawn starts cmd so that it dies with this process, and not before. Its stderr is kept, unless it has a place.
func Spawn(cmd *exec.Cmd) (*Process, error) {
	return SpawnFrom(cmd, func() error { return nil })
}

// SpawnFrom is Spawn from a thread that enter has put where the program is to be born, such as another network namespace. The thread ends with the program.
func SpawnFrom(cmd *exec.Cmd, enter func() error) (*Process, error) {
	p := &Process{cmd: cmd, stderr: &output{}, ended: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = p.stderr
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread that forked ends, so that one has to wait
		err := enter()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return p, nil
}

// waitReady waits for a kubeconfig of this run and then for /readyz.
func (p *Process) waitReady(ctx context.Context, dir string) (*API, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if a, err := load(dir); err == nil && p.saysReady() && ready(ctx, a) {
			return a, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("ingot ended before its API was ready: %w", errors.Join(errEnded, p.err))
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the API: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

var errEnded = errors.New("process ended")

// saysReady keeps a kubeconfig of an earlier run, with that run's port, from being taken for the new one.
func (p *Process) saysReady() bool { return strings.Contains(p.Stderr(), "Ingot is ready") }

func ready(ctx context.Context, a *API) bool {
	c, err := kubernetes.NewForConfig(a.AdminConfig)
	if err != nil {
		return false
	}
	return c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stderr is what the process has said so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait waits for the end and returns how it was, as exec.Cmd.Wait does.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Kill ends the process at once and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
}

// Log is the path of the control plane's log file.
func (p *Process) Log() string { return filepath.Join(p.Dir, "logs", "control-plane.log") }

// output is a buffer that a process writes and tests read.
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
