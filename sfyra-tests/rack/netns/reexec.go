// Package netns runs this program again in a network namespace of its own.
//
// Layer 2, adapter. As root the namespace alone is new; as another user a user
// namespace comes with it, in which that user is root. Either way the host's
// network stays untouched.
//
// Invariants: the namespace lives exactly as long as its processes, no name of
// it is ever written to disk; the child dies with its parent; the parent ends
// only after the child, with the child's exit code.
package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// ErrForbidden says that this host does not let this user make a namespace.
var ErrForbidden = errors.New("this host forbids network namespaces for this user")

const forbiddenHelp = "run it as root, or allow user namespaces: " +
	"sysctl user.max_user_namespaces=10000, kernel.unprivileged_userns_clone=1 (Debian) " +
	"or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"

// marker names the environment variable that tells the child what it is. Its
// value is the parent's namespace, so an inherited stale value is noticed.
const marker = "INGOT_NETNS_PARENT"

// Options of the second run.
type Options struct {
	// Env is added to the environment of the child.
	Env []string
	// Forwards are the ports of the host that lead into the namespace.
	Forwards []Forward
	// Stdin of the child; nil means an empty one. A terminal does not work
	// here: the child is in a process group of its own.
	Stdin io.Reader
	// Stdout and Stderr of the child; nil means those of this process.
	Stdout, Stderr io.Writer
}

// Inside says whether this process is the child of Reexec and truly in
// another network namespace than its parent.
func Inside() bool {
	parent := os.Getenv(marker)
	own, err := current()
	return parent != "" && err == nil && own != parent
}

func current() (string, error) {
	name, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", fmt.Errorf("reading the own network namespace: %w", err)
	}
	return name, nil
}

// Reexec runs this program with args in a new network namespace and returns
// its exit code; for a child that a signal ended, 128 and the signal. When ctx
// ends, the child gets SIGTERM. Signals to this process reach the child once.
func Reexec(ctx context.Context, args []string, opts Options) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("finding the own program: %w", err)
	}
	host, err := current()
	if err != nil {
		return 0, err
	}
	doors, err := open(ctx, opts.Forwards)
	if err != nil {
		return 0, err
	}
	defer doors.close()
	cmd := exec.Command(self, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = opts.Stdin, orFile(opts.Stdout, os.Stdout), orFile(opts.Stderr, os.Stderr)
	cmd.Env = append(append(os.Environ(), opts.Env...), marker+"="+host, doors.env())
	cmd.ExtraFiles = doors.files
	cmd.SysProcAttr = attributes(os.Geteuid(), os.Getegid())
	return run(ctx, cmd)
}

func orFile(w io.Writer, file *os.File) io.Writer {
	if w == nil {
		return file
	}
	return w
}

func attributes(uid, gid int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // a terminal's Ctrl-C comes through the parent, once
	}
	if uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	return attr
}

func run(ctx context.Context, cmd *exec.Cmd) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// The death signal follows the thread that starts the child, so that
		// thread has to live as long as the child does (prctl(2), PR_SET_PDEATHSIG).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return 0, explain(err)
	}
	return follow(ctx, cmd, signals, ended)
}

func follow(ctx context.Context, cmd *exec.Cmd, signals <-chan os.Signal, ended <-chan error) (int, error) {
	stop := ctx.Done()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // a child that has just ended needs no signal
		case <-stop:
			_ = cmd.Process.Signal(syscall.SIGTERM)
			stop = nil
		case err := <-ended:
			return exitCode(cmd.ProcessState, err)
		}
	}
}

func exitCode(state *os.ProcessState, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("waiting for the program in the namespace: %w", err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

// explain turns what clone(2) says into what to do. EPERM and EACCES: a policy
// forbids it. ENOSPC and EUSERS: the limit of user namespaces is used up or zero.
func explain(err error) error {
	for _, refusal := range []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS} {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w (%s); %s", ErrForbidden, refusal.Error(), forbiddenHelp)
		}
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		return fmt.Errorf("%w: this kernel has none (%w); use a kernel with CONFIG_NET_NS and CONFIG_USER_NS", ErrForbidden, err)
	}
	return fmt.Errorf("starting the program in a namespace: %w", err)
}
