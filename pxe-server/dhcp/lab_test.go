package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/sfyra-tests/island"
)

// lab is a bridge with the server's address, and hosts on it that each have a network namespace.
type lab struct {
	t      testing.TB
	bridge netlink.Link
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check0(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newLab(t testing.TB, cidr string) *lab {
	l := &lab{t: t, bridge: &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}}
	check0(t, netlink.LinkAdd(l.bridge))
	check0(t, netlink.AddrAdd(l.bridge, must[*netlink.Addr](t)(netlink.ParseAddr(cidr))))
	check0(t, netlink.LinkSetUp(l.bridge))
	lo := must[netlink.Link](t)(netlink.LinkByName("lo"))
	check0(t, netlink.LinkSetUp(lo))
	return l
}

// host adds a namespace with an interface eth0 on the bridge, with an address unless cidr is empty.
func (l *lab) host(n int, cidr string) host {
	t := l.t
	t.Helper()
	near, far := fmt.Sprintf("port%d", n), fmt.Sprintf("far%d", n)
	check0(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far}))
	port := must[netlink.Link](t)(netlink.LinkByName(near))
	check0(t, netlink.LinkSetMaster(port, l.bridge))
	check0(t, netlink.LinkSetUp(port))
	h := host{t: t, ns: island.NewHost(t)}
	check0(t, netlink.LinkSetNsFd(must[netlink.Link](t)(netlink.LinkByName(far)), h.ns.FD()))
	h.do(func() {
		eth := must[netlink.Link](t)(netlink.LinkByName(far))
		check0(t, netlink.LinkSetName(eth, "eth0"))
		check0(t, netlink.LinkSetHardwareAddr(eth, hostMAC(n)))
		if cidr != "" {
			check0(t, netlink.AddrAdd(eth, must[*netlink.Addr](t)(netlink.ParseAddr(cidr))))
		}
		check0(t, netlink.LinkSetUp(eth))
		waitUp(t, "eth0")
	})
	waitUp(t, near)
	waitUp(t, "br0")
	return h
}

// waitUp waits until the kernel says that the link works; it takes its time to notice the carrier.
func waitUp(t testing.TB, name string) {
	changes, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	defer close(done)
	check0(t, netlink.LinkSubscribe(changes, done))
	for must[netlink.Link](t)(netlink.LinkByName(name)).Attrs().OperState != netlink.OperUp {
		select {
		case <-changes:
		case <-t.Context().Done():
			return
		}
	}
}

func hostMAC(n int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, byte(n)} }

type host struct {
	t  testing.TB
	ns island.Host
}

// address gives the host one; a second time it has it already.
func (h host) address(cidr string) {
	h.do(func() {
		eth := must[netlink.Link](h.t)(netlink.LinkByName("eth0"))
		check0(h.t, netlink.AddrReplace(eth, must[*netlink.Addr](h.t)(netlink.ParseAddr(cidr))))
	})
}

// do runs f in the host's namespace. Sockets that f opens stay there.
func (h host) do(f func()) {
	h.t.Helper()
	h.ns.Do(h.t, f)
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }
