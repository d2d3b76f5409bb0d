package setup

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// inNamespace runs the calling test again as root of a new user and network namespace, where it may have any network it likes. It is false
// in the process that only waits for the other one. It works for any user.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "INGOT_SETUP_TEST_NAMESPACE"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
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
	return false
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wire is a cable: eth0 with the server's address here, and eth0 of a machine in a namespace of its own.
type wire struct{ machine netns.NsHandle }

var machineMAC = net.HardwareAddr{0x52, 0x54, 0, 0x78, 0, 1}

func newWire(t *testing.T, server, machine string) wire {
	t.Helper()
	ok(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "far"}))
	near, err := netlink.LinkByName("eth0")
	ok(t, err)
	address(t, near, server)
	w := wire{machine: newNamespace(t)}
	far, err := netlink.LinkByName("far")
	ok(t, err)
	ok(t, netlink.LinkSetNsFd(far, int(w.machine)))
	w.do(t, func() {
		eth, err := netlink.LinkByName("far")
		ok(t, err)
		ok(t, netlink.LinkSetName(eth, "eth0"))
		ok(t, netlink.LinkSetHardwareAddr(eth, machineMAC))
		address(t, eth, machine)
	})
	return w
}

func address(t *testing.T, link netlink.Link, cidr string) {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	ok(t, err)
	ok(t, netlink.AddrAdd(link, a))
	ok(t, netlink.LinkSetUp(link))
}

func newNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	made := make(chan netns.NsHandle)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := netns.New()
		if err != nil {
			t.Error(err)
		}
		made <- ns
	}()
	return <-made
}

// do runs f as the machine. Sockets that f opens belong to it; f must open them itself and not in another goroutine.
func (w wire) do(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(w.machine); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}
