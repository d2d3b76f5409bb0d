package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// IPv6 is Client for a real network over IPv6. It does what the routers of the link say: DHCPv6 gives the address, or the kernel makes one of a prefix of theirs, which
// counts also where DHCPv6 gives none. Routes are the kernel's business in both cases.
type IPv6 struct{}

// Bounds of one exchange: 1, 2, 4 and 8 seconds (RFC 8415 section 15 begins with one).
const (
	answerTime6 = time.Second
	sends6      = 4
	kernelPoll  = 200 * time.Millisecond
	kernelMost  = 5 * time.Second
)

// Request finds an address for an interface.
func (IPv6) Request(ctx context.Context, ifname string) (Lease, error) {
	link, err := net.InterfaceByName(ifname)
	if err != nil {
		return Lease{}, fmt.Errorf("finding %s: %w", ifname, err)
	}
	a, err := heed(ctx, link)
	if err != nil {
		return Lease{}, err
	}
	if a.managed {
		l, err := exchange6(link, func(c *nclient6.Client) (*dhcpv6.Message, error) { return acquire(ctx, c) })
		if err == nil || len(a.own) == 0 {
			return l, err
		}
	}
	return madeByKernel(ctx, link, a)
}

// Renew asks for the same lease again. An address that the kernel made is looked at again.
func (v IPv6) Renew(ctx context.Context, l Lease) (Lease, error) {
	if l.ByKernel {
		return v.Request(ctx, l.Interface)
	}
	return again(l, dhcpv6.MessageTypeRenew, func(ctx context.Context, c *nclient6.Client, m *dhcpv6.Message) (*dhcpv6.Message, error) {
		return c.SendAndRead(ctx, c.RemoteAddr(), m, nclient6.IsMessageType(dhcpv6.MessageTypeReply))
	})(ctx)
}

// Decline tells the server that somebody else uses the address, so that it gives another one next.
func (IPv6) Decline(ctx context.Context, l Lease) error {
	if l.ByKernel {
		return nil
	}
	_, err := again(l, dhcpv6.MessageTypeDecline, func(ctx context.Context, c *nclient6.Client, m *dhcpv6.Message) (*dhcpv6.Message, error) {
		return c.SendAndRead(ctx, c.RemoteAddr(), m, nclient6.IsMessageType(dhcpv6.MessageTypeReply))
	})(ctx)
	if errors.Is(err, ErrRefused) {
		return nil // its answer names no address any more
	}
	return err
}

type talk6 func(context.Context, *nclient6.Client, *dhcpv6.Message) (*dhcpv6.Message, error)

// again sends a message about a lease that DHCPv6 gave to the server that gave it.
func again(l Lease, typ dhcpv6.MessageType, talk talk6) func(context.Context) (Lease, error) {
	return func(ctx context.Context) (Lease, error) {
		old, ok := l.handle.(*dhcpv6.Message)
		if !ok {
			return Lease{}, errors.New("renewing a lease that DHCPv6 did not give")
		}
		link, err := net.InterfaceByName(l.Interface)
		if err != nil {
			return Lease{}, fmt.Errorf("finding %s: %w", l.Interface, err)
		}
		m, err := dhcpv6.NewMessage()
		if err != nil {
			return Lease{}, fmt.Errorf("writing a DHCPv6 message: %w", err)
		}
		m.MessageType = typ
		for _, code := range []dhcpv6.OptionCode{dhcpv6.OptionClientID, dhcpv6.OptionServerID, dhcpv6.OptionIANA} {
			m.AddOption(old.GetOneOption(code))
		}
		m.AddOption(dhcpv6.OptElapsedTime(0))
		return exchange6(link, func(c *nclient6.Client) (*dhcpv6.Message, error) { return talk(ctx, c, m) })
	}
}

// acquire gets an address in four messages. The DUID is made of the MAC (DUID-LL, RFC 8415 section 11.4), so that every boot of the machine is the same client.
func acquire(ctx context.Context, c *nclient6.Client) (*dhcpv6.Message, error) {
	id := dhcpv6.WithClientID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: c.InterfaceAddr()})
	adv, err := c.Solicit(ctx, id)
	if err != nil {
		return nil, err
	}
	if adv.Options.OneIANA() == nil || adv.Options.OneIANA().Options.OneAddress() == nil {
		return nil, ErrRefused
	}
	return c.Request(ctx, adv, id)
}

func exchange6(link *net.Interface, talk func(*nclient6.Client) (*dhcpv6.Message, error)) (Lease, error) {
	c, err := nclient6.New(link.Name, nclient6.WithTimeout(answerTime6), nclient6.WithRetry(sends6))
	if err != nil {
		return Lease{}, fmt.Errorf("opening a DHCPv6 socket: %w", err)
	}
	defer c.Close()
	m, err := talk(c)
	switch {
	case errors.Is(err, nclient6.ErrNoResponse), errors.Is(err, context.Canceled):
		return Lease{}, ErrNoServer
	case errors.Is(err, ErrRefused):
		return Lease{}, err
	case err != nil:
		return Lease{}, fmt.Errorf("asking by DHCPv6: %w", err)
	}
	l, err := read6(m)
	l.Interface, l.handle = link.Name, m
	return l, err
}

// read6 takes what is needed out of a reply, which comes from the wire and is not trusted.
func read6(m *dhcpv6.Message) (Lease, error) {
	n := m.Options.OneIANA()
	if m.MessageType != dhcpv6.MessageTypeReply || bad(m.Options.Status()) || n == nil || bad(n.Options.Status()) || m.Options.ClientID() == nil || m.Options.ServerID() == nil {
		return Lease{}, ErrRefused
	}
	for _, a := range n.Options.Addresses() {
		ip, _ := netip.AddrFromSlice(a.IPv6Addr)
		if a.ValidLifetime == 0 || bad(a.Options.Status()) {
			continue // it ends
		}
		if !beyondLink(ip) {
			return Lease{}, fmt.Errorf("the DHCPv6 server gave the unusable address %q", ip)
		}
		// What is on the link says the router, not the server (RFC 8415 section 18.2.10.1).
		l := Lease{Address: netip.PrefixFrom(ip, 128), Duration: min(max(a.ValidLifetime, shortestLease), longestLease), Renew: n.T1}
		if l.Renew < time.Minute || l.Renew > l.Duration {
			l.Renew = l.Duration / 2
		}
		for _, s := range m.Options.DNS() {
			if d, ok := netip.AddrFromSlice(s); ok && beyondLink(d) && len(l.DNS) < mostDNS {
				l.DNS = append(l.DNS, d)
			}
		}
		return l, nil
	}
	return Lease{}, ErrRefused
}

func bad(s *dhcpv6.OptStatusCode) bool { return s != nil && s.StatusCode != iana.StatusSuccess }

// madeByKernel waits for the address that the kernel makes of a router's prefix.
func madeByKernel(ctx context.Context, link *net.Interface, a advice) (Lease, error) {
	for waited := time.Duration(0); waited < kernelMost; waited += kernelPoll {
		l, ok, err := findMade(link, a)
		if err != nil || ok {
			return l, err
		}
		select {
		case <-time.After(kernelPoll):
		case <-ctx.Done():
			return Lease{}, ErrNoRouter
		}
	}
	return Lease{}, fmt.Errorf("the kernel made no IPv6 address of the prefix %s within %s", a.own[0], kernelMost)
}

func findMade(link *net.Interface, a advice) (l Lease, ok bool, err error) {
	nl, err := netlink.LinkByIndex(link.Index)
	if err != nil {
		return l, false, fmt.Errorf("finding %s: %w", link.Name, err)
	}
	all, err := netlink.AddrList(nl, netlink.FAMILY_V6)
	if err != nil {
		return l, false, fmt.Errorf("listing addresses of %s: %w", link.Name, err)
	}
	for _, got := range all {
		ip, _ := netip.AddrFromSlice(got.IP)
		if got.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED) != 0 || !within(ip, a.own) {
			continue
		}
		life := min(max(time.Duration(uint32(got.ValidLft))*time.Second, shortestLease), longestLease)
		return Lease{Interface: link.Name, Address: netip.PrefixFrom(ip, 64), ByKernel: true, DNS: a.dns, Duration: life, Renew: life / 2}, true, nil
	}
	return l, false, nil
}

func within(ip netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
