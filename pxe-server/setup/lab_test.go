package setup

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/island"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wire is a cable: eth0 with the server's address here, and eth0 of a machine in a namespace of its own.
type wire struct{ machine island.Host }

var machineMAC = net.HardwareAddr{0x52, 0x54, 0, 0x78, 0, 1}

func newWire(t *testing.T, server, machine string) wire {
	t.Helper()
	ok(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "far"}))
	near, err := netlink.LinkByName("eth0")
	ok(t, err)
	address(t, near, server)
	w := wire{machine: island.NewHost(t)}
	far, err := netlink.LinkByName("far")
	ok(t, err)
	ok(t, netlink.LinkSetNsFd(far, w.machine.FD()))
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
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD // or the address works a second later only
	}
	ok(t, netlink.AddrAdd(link, a))
	ok(t, netlink.LinkSetUp(link))
}

// do runs f as the machine. Sockets that f opens belong to it; f must open them itself and not in another goroutine.
func (w wire) do(t *testing.T, f func()) {
	t.Helper()
	w.machine.Do(t, f)
}
