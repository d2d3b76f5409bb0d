//go:build bench

package storm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/island"
)

// serverNet is the program's side: an address, and room for a few thousand machines.
const (
	serverNet = "10.77.0.1/20"
	serverIP  = "10.77.0.1"
	pool      = "10.77.2.0-10.77.15.250"
	cableName = "ingot0"
)

// cable leads from the program's interface to the machines' side.
type cable struct {
	host island.Host
	eth  netlink.Link
	dhcp net.PacketConn
	nl   *netlink.Handle

	mu    sync.Mutex
	asked map[dhcpv4.TransactionID]chan *dhcpv4.DHCPv4
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func up(t testing.TB, name string, of func(string) (netlink.Link, error), h interface{ LinkSetUp(netlink.Link) error }) netlink.Link {
	t.Helper()
	link, err := of(name)
	check(t, err)
	check(t, h.LinkSetUp(link))
	return link
}

// lay makes both ends. The test is inside of an island already.
func lay(t testing.TB) *cable {
	t.Helper()
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: cableName, TxQLen: 10_000}, PeerName: "far"}))
	return connect(t)
}

// connect gives the interface of the program its address, and the machines their end of the cable, which is there by the name of far.
func connect(t testing.TB) *cable {
	t.Helper()
	here := &netlink.Handle{}
	up(t, "lo", here.LinkByName, here)
	addr, err := netlink.ParseAddr(serverNet)
	check(t, err)
	near := up(t, cableName, here.LinkByName, here)
	check(t, netlink.AddrAdd(near, addr))
	c := &cable{host: island.NewHost(t), asked: map[dhcpv4.TransactionID]chan *dhcpv4.DHCPv4{}}
	far, err := netlink.LinkByName("far")
	check(t, err)
	check(t, netlink.LinkSetNsFd(far, c.host.FD()))
	c.host.Do(t, func() {
		c.nl, err = netlink.NewHandle()
		if err != nil {
			return
		}
		up(t, "lo", c.nl.LinkByName, c.nl)
		c.eth = up(t, "far", c.nl.LinkByName, c.nl)
		c.dhcp, err = listen68(c.eth.Attrs().Name)
	})
	check(t, err)
	t.Cleanup(func() { c.dhcp.Close() })
	go c.hear()
	return c
}

func listen68(link string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) {
			for _, option := range []int{unix.SO_REUSEADDR, unix.SO_BROADCAST} {
				if err == nil {
					err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1)
				}
			}
			if err == nil {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)
			}
			if err == nil {
				err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, link)
			}
		}); e != nil {
			return e
		}
		return err
	}}
	return lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:68")
}

// hear gives every answer to the machine that asked.
func (c *cable) hear() {
	b := make([]byte, 2048)
	for {
		n, _, err := c.dhcp.ReadFrom(b)
		if err != nil {
			return
		}
		m, err := dhcpv4.FromBytes(b[:n])
		if err != nil {
			continue
		}
		c.mu.Lock()
		who := c.asked[m.TransactionID]
		c.mu.Unlock()
		if who != nil {
			select {
			case who <- m:
			default:
			}
		}
	}
}

// How long DHCP clients wait for an answer before they ask again.
var (
	// firmwareWaits are those of the PXE specification 2.1 and of EDK2 (UefiPxeBcDxe, mPxeDhcpTimeout).
	firmwareWaits = []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
	// ipxeWaits are iPXE's own (config/dhcp.h): from one second on, doubled, ten at most.
	ipxeWaits = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second}
)

// ask sends a message and waits for its answer of the kind want; as a client does it repeats itself when its waits are over.
func (c *cable) ask(ctx context.Context, m *dhcpv4.DHCPv4, want dhcpv4.MessageType, waits []time.Duration) (*dhcpv4.DHCPv4, int, error) {
	who := make(chan *dhcpv4.DHCPv4, 4)
	defer c.listen(m.TransactionID, who)()
	return c.repeat(ctx, m, who, want, waits)
}

func (c *cable) repeat(ctx context.Context, m *dhcpv4.DHCPv4, who chan *dhcpv4.DHCPv4, want dhcpv4.MessageType, waits []time.Duration) (*dhcpv4.DHCPv4, int, error) {
	for try, wait := range waits {
		if _, err := c.dhcp.WriteTo(m.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 67}); err != nil {
			return nil, try, err
		}
		if r, err := answer(ctx, who, want, wait); r != nil || err != nil {
			return r, try, err
		}
	}
	return nil, len(waits), fmt.Errorf("no DHCP %v for %v", want, m.ClientHWAddr)
}

// offers is ask for a DISCOVER, with all that is offered within more after the first offer.
func (c *cable) offers(ctx context.Context, m *dhcpv4.DHCPv4, waits []time.Duration, more time.Duration) ([]*dhcpv4.DHCPv4, int, error) {
	who := make(chan *dhcpv4.DHCPv4, 4)
	defer c.listen(m.TransactionID, who)()
	first, try, err := c.repeat(ctx, m, who, dhcpv4.MessageTypeOffer, waits)
	if err != nil {
		return nil, try, err
	}
	all := []*dhcpv4.DHCPv4{first}
	for end := time.Now().Add(more); more > 0; {
		r, err := answer(ctx, who, dhcpv4.MessageTypeOffer, time.Until(end))
		if r == nil || err != nil {
			return all, try, err
		}
		all = append(all, r)
	}
	return all, try, nil
}

// listen leads the answers to a transaction into who, until the returned function is called.
func (c *cable) listen(id dhcpv4.TransactionID, who chan *dhcpv4.DHCPv4) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[id] = who
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.asked, id)
	}
}

// answer is the first of the kind want within some time; nil when there is none.
func answer(ctx context.Context, who chan *dhcpv4.DHCPv4, want dhcpv4.MessageType, within time.Duration) (*dhcpv4.DHCPv4, error) {
	end := time.NewTimer(within)
	defer end.Stop()
	for {
		select {
		case r := <-who:
			if r.MessageType() == want {
				return r, nil
			}
		case <-end.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take gives the machines' side an address that was leased. A machine that asks again may get the one that it has.
func (c *cable) take(ip netip.Addr) error {
	err := c.nl.AddrAdd(c.eth, &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(20, 32)}})
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// dial opens a connection of one machine.
func (c *cable) dial(from netip.Addr) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		inside := c.host.Run(func() { conn, err = d.DialContext(ctx, network, address) })
		return conn, errors.Join(err, inside)
	}
}
