package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// advice is what a router, or somebody in its place, says of how hosts of the link get addresses (RFC 4861 section 4.2).
type advice struct {
	// managed: DHCPv6 gives them.
	managed bool
	// own are prefixes that hosts make addresses of (RFC 4862).
	own []netip.Prefix
	dns []netip.Addr
}

// some says whether it leads to an address at all.
func (a advice) some() bool { return a.managed || len(a.own) > 0 }

// Bounds of what an advertisement may say.
const (
	mostPrefixes = 8
	mostDNS      = 3
)

// readAdvice takes what is needed out of an advertisement, which comes from the wire and is not trusted.
func readAdvice(ra *ndp.RouterAdvertisement) advice {
	a := advice{managed: ra.ManagedConfiguration}
	for _, o := range ra.Options {
		switch o := o.(type) {
		case *ndp.PrefixInformation:
			// RFC 4862 section 5.5.3: the interface identifier of Ethernet has 64 bits.
			if o.AutonomousAddressConfiguration && o.ValidLifetime > 0 && o.PrefixLength == 64 && beyondLink(o.Prefix) && len(a.own) < mostPrefixes {
				a.own = append(a.own, netip.PrefixFrom(o.Prefix, 64).Masked())
			}
		case *ndp.RecursiveDNSServer:
			for _, s := range o.Servers {
				if o.Lifetime > 0 && beyondLink(s) && len(a.dns) < mostDNS {
					a.dns = append(a.dns, s)
				}
			}
		}
	}
	return a
}

// beyondLink says whether an address of IPv6 is one that others than hosts of the link can reach.
func beyondLink(ip netip.Addr) bool {
	return ip.Is6() && !ip.Is4In6() && ip.Zone() == "" && ip.IsGlobalUnicast()
}

// Bounds of asking for advice: those of RFC 4861 section 10.
const (
	solicitations = 3
	solicitPause  = 4 * time.Second
	linkLocalPoll = 100 * time.Millisecond
)

var (
	allRouters = netip.MustParseAddr("ff02::2")
	allHosts   = netip.MustParseAddr("ff02::1")
)

// heed asks the routers of a link, and returns the first advice that leads to an address.
func heed(ctx context.Context, link *net.Interface) (advice, error) {
	conn, err := listenNDP(ctx, link)
	if err != nil {
		return advice{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for range solicitations {
		ask := &ndp.RouterSolicitation{Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: link.HardwareAddr}}}
		if err := errors.Join(conn.WriteTo(ask, nil, allRouters), conn.SetReadDeadline(time.Now().Add(solicitPause))); err != nil {
			return advice{}, fmt.Errorf("asking for an IPv6 router: %w", err)
		}
		if a, ok := hear(conn); ok {
			return a, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return advice{}, ErrNoRouter
}

// listenNDP waits until the kernel has made the link-local address of the link, for which it needs a second or two.
func listenNDP(ctx context.Context, link *net.Interface) (*ndp.Conn, error) {
	for {
		conn, _, err := ndp.Listen(link, ndp.LinkLocal)
		if err == nil {
			return conn, prepareNDP(conn)
		}
		select {
		case <-time.After(linkLocalPoll):
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the link-local address of %s: %w", link.Name, err)
		}
	}
}

// prepareNDP has the kernel hand over advertisements alone.
func prepareNDP(conn *ndp.Conn) error {
	var f ipv6.ICMPFilter
	f.SetAll(true)
	f.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if err := errors.Join(conn.SetICMPFilter(&f), conn.SetControlMessage(ipv6.FlagHopLimit, true), conn.JoinGroup(allHosts)); err != nil {
		return errors.Join(fmt.Errorf("listening for IPv6 routers: %w", err), conn.Close())
	}
	return nil
}

// hear listens until the deadline of the socket. Whoever is not on the link cannot send a hop limit of 255 (RFC 4861 section 6.1.2).
func hear(conn *ndp.Conn) (advice, bool) {
	for {
		m, cm, from, err := conn.ReadFrom()
		var n net.Error
		if errors.As(err, &n) || errors.Is(err, net.ErrClosed) {
			return advice{}, false
		}
		ra, ok := m.(*ndp.RouterAdvertisement)
		if err != nil || !ok || cm == nil || cm.HopLimit != ndp.HopLimit || !from.IsLinkLocalUnicast() {
			continue
		}
		if a := readAdvice(ra); a.some() {
			return a, true
		}
	}
}
