package distributed

import (
	"net"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Addresses of the uplink between the management cluster and the site, and of the site's boot network.
const (
	controllerIP = "198.51.100.1"
	siteIP       = "198.51.100.2"
	bootIP       = "192.0.2.1"
	machineIP    = "192.0.2.9"
)

// bootNIC is the interface of the pxe-server that machines boot through.
const bootNIC = "eth1"

// site is a namespace for a pxe-server with a cable to the tests' namespace and one to a machine in a further namespace.
type site struct{ server, machine netns.NsHandle }

func newSite(t *testing.T, mac net.HardwareAddr) *site {
	t.Helper()
	s := &site{server: newNamespace(t), machine: newNamespace(t)}
	cable(t, end{here, "mgmt0", controllerIP, nil}, end{s.server, "up0", siteIP, nil})
	cable(t, end{s.server, bootNIC, bootIP, nil}, end{s.machine, "eth0", machineIP, mac})
	return s
}

// end is one end of a cable.
type end struct {
	in   netns.NsHandle
	name string
	ip   string
	mac  net.HardwareAddr
}

// cable makes a veth pair here and moves its ends to where they belong. The pair goes with its namespaces.
func cable(t *testing.T, a, b end) {
	t.Helper()
	ok(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "end-a"}, PeerName: "end-b"}))
	a.plug(t, "end-a")
	b.plug(t, "end-b")
}

func (e end) plug(t *testing.T, made string) {
	t.Helper()
	link, err := netlink.LinkByName(made)
	ok(t, err)
	if e.in != here {
		ok(t, netlink.LinkSetNsFd(link, int(e.in)))
	}
	do(t, e.in, func() {
		link, err := netlink.LinkByName(made)
		ok(t, err)
		ok(t, netlink.LinkSetName(link, e.name))
		if e.mac != nil {
			ok(t, netlink.LinkSetHardwareAddr(link, e.mac))
		}
		address, err := netlink.ParseAddr(e.ip + "/24")
		ok(t, err)
		ok(t, netlink.AddrAdd(link, address))
		ok(t, netlink.LinkSetUp(link))
	})
}

func newNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	type result struct {
		ns  netns.NsHandle
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := netns.New()
		made <- result{ns, err}
	}()
	r := <-made
	ok(t, r.err)
	t.Cleanup(func() { _ = r.ns.Close() })
	return r.ns
}

// do runs f in a namespace. Sockets that f opens belong to it; f must open them itself and not in another goroutine.
func do(t *testing.T, in netns.NsHandle, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if in != here {
			if err := netns.Set(in); err != nil {
				t.Error(err)
				return
			}
		}
		f()
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}
