package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// DHCP is Client for a real network.
type DHCP struct{}

// Bounds of one exchange: nclient4 sends a message again after each time-out.
const (
	answerTime = 4 * time.Second
	sends      = 3
)

// Bounds of what a server may say about time, in case it is broken: RFC 2131 knows no least lease.
const (
	shortestLease = 2 * time.Minute
	longestLease  = 30 * 24 * time.Hour
)

// Request asks for a lease on an interface.
func (DHCP) Request(ctx context.Context, ifname string) (Lease, error) {
	return exchange(ifname, func(c *nclient4.Client) (*nclient4.Lease, error) {
		return c.Request(ctx, dhcpv4.WithOption(dhcpv4.OptClassIdentifier("ingot-agent")))
	})
}

// Renew asks for the same lease again.
func (DHCP) Renew(ctx context.Context, l Lease) (Lease, error) {
	old, ok := l.handle.(*nclient4.Lease)
	if !ok {
		return Lease{}, errors.New("renewing a lease that DHCP did not give")
	}
	return exchange(l.Interface, func(c *nclient4.Client) (*nclient4.Lease, error) {
		return c.Renew(ctx, old)
	})
}

func exchange(ifname string, talk func(*nclient4.Client) (*nclient4.Lease, error)) (Lease, error) {
	c, err := nclient4.New(ifname, nclient4.WithTimeout(answerTime), nclient4.WithRetry(sends))
	if err != nil {
		return Lease{}, fmt.Errorf("opening a DHCP socket: %w", err)
	}
	defer c.Close()
	got, err := talk(c)
	var nak *nclient4.ErrNak
	switch {
	case errors.As(err, &nak):
		return Lease{}, ErrRefused
	case errors.Is(err, nclient4.ErrNoResponse), errors.Is(err, context.Canceled):
		return Lease{}, ErrNoServer
	case err != nil:
		return Lease{}, fmt.Errorf("asking by DHCP: %w", err)
	}
	lease, err := read(got.ACK)
	lease.Interface, lease.handle = ifname, got
	return lease, err
}

// read takes what is needed out of an acknowledgement, which comes from the wire and is not trusted.
func read(ack *dhcpv4.DHCPv4) (Lease, error) {
	address, ok := v4(ack.YourIPAddr)
	if !ok || !address.IsGlobalUnicast() {
		return Lease{}, fmt.Errorf("the DHCP server gave the unusable address %q", ack.YourIPAddr.String())
	}
	ones, bits := ack.SubnetMask().Size()
	if bits != 32 || ones == 0 {
		return Lease{}, errors.New("the DHCP server gave no subnet mask")
	}
	l := Lease{Address: netip.PrefixFrom(address, ones)}
	if routers := ack.Router(); len(routers) > 0 {
		l.Router, _ = v4(routers[0])
	}
	for _, ip := range ack.DNS() {
		if a, ok := v4(ip); ok && len(l.DNS) < 3 {
			l.DNS = append(l.DNS, a)
		}
	}
	l.Duration = min(max(ack.IPAddressLeaseTime(time.Hour), shortestLease), longestLease)
	l.Renew = ack.IPAddressRenewalTime(l.Duration / 2)
	if l.Renew < time.Minute || l.Renew > l.Duration {
		l.Renew = l.Duration / 2
	}
	return l, nil
}

func v4(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip.To4())
	return a, ok && !a.IsUnspecified()
}
