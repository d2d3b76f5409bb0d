// Package island gives a test a network of its own, for any user and without a trace on the host.
//
// Layer 5, proof: only tests import it. Rack's netns serves programs, which pass signals and ports on; this one runs a single test.
//
// Invariants: the second run is root of a new user and network namespace and dies with the first; a test that did not pass there, or did not
// run at all, does not pass here.
package island

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netns"
)

// mark names the environment variable that tells the second run which test it is for.
const mark = "INGOT_TEST_ISLAND"

// Inside is true within the island. Outside it runs the calling test again on one, with args for the test program, and is false:
//
//	if !island.Inside(t) {
//		return
//	}
func Inside(t testing.TB, args ...string) bool {
	t.Helper()
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{"-test.run=^" + t.Name() + "$", "-test.v"}, args...)...)
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig follows the thread
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	t.Logf("in the namespace:\n%s", out)
	if err != nil {
		t.Fatalf("the test failed in its namespace: %v", err)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatal("the test did not run in its namespace")
	}
	return false
}

// Host is one more network namespace, for another machine of a test that is inside. It lives as long as the test program.
type Host struct{ ns netns.NsHandle }

// NewHost makes a machine without any link but its loopback, which is down.
func NewHost(t testing.TB) Host {
	t.Helper()
	var h Host
	must(t, apart(func() (err error) {
		h.ns, err = netns.New()
		return err
	}))
	return h
}

// FD is the namespace's file descriptor, to move links into it.
func (h Host) FD() int { return int(h.ns) }

// Do runs f as the host. Sockets and programs that f starts stay there; f must start them itself and not in another goroutine.
func (h Host) Do(t testing.TB, f func()) {
	t.Helper()
	must(t, h.Run(f))
}

// Enter puts the calling thread into the host for good. The goroutine is locked to it and stays so.
func (h Host) Enter() error { return netns.Set(h.ns) }

// Run is Do for goroutines that are not the test's own, which must not end it.
func (h Host) Run(f func()) error {
	return apart(func() error {
		if err := netns.Set(h.ns); err != nil {
			return err
		}
		f()
		return nil
	})
}

// must ends the test on an error, and when what ran apart failed it.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil && !t.Failed() {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// errEnded stands for a function that ended its goroutine, as t.FailNow does.
var errEnded = errors.New("what ran apart did not return")

// apart runs f, which may change the network namespace of its thread, and puts the thread back where it was. When that fails, or f does not return, the
// thread ends: then children die that it started with Pdeathsig.
func apart(f func() error) error {
	err, done := errEnded, make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		own, e := netns.Get()
		if e != nil {
			err = e
			return
		}
		defer own.Close()
		e = f()
		back := netns.Set(own)
		if err = errors.Join(e, back); back == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-done
	return err
}
