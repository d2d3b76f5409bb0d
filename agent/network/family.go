package network

import (
	"context"
	"net/netip"
	"net/url"
)

// For is the client for a machine that shall reach a URL: over IPv6 when its host is an IPv6 address, and over IPv4 when it is one of IPv4. A name says nothing, so
// IPv4 is tried first, as long as networks usually have it.
func For(target string, four, six Client) Client {
	u, err := url.Parse(target)
	if err != nil {
		return four
	}
	host, err := netip.ParseAddr(u.Hostname())
	switch {
	case err != nil && u.Hostname() != "":
		return either{four, six}
	case err == nil && host.Is6() && !host.Is4In6():
		return six
	}
	return four
}

// either asks both at once, and takes the word of the first one when it has any. A lease is renewed where it came from.
type either struct{ first, second Client }

func (e either) Request(ctx context.Context, ifname string) (Lease, error) {
	type result struct {
		lease Lease
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	second := make(chan result, 1)
	go func() {
		l, err := e.second.Request(ctx, ifname)
		second <- result{l, err}
	}()
	l, err := e.first.Request(ctx, ifname)
	if err == nil {
		cancel()
	}
	other := <-second
	cancel()
	if err == nil || other.err != nil {
		return l, err
	}
	return other.lease, nil
}

func (e either) of(l Lease) Client {
	if l.Address.Addr().Is4() {
		return e.first
	}
	return e.second
}

func (e either) Renew(ctx context.Context, l Lease) (Lease, error) { return e.of(l).Renew(ctx, l) }

// Decline implements decliner.
func (e either) Decline(ctx context.Context, l Lease) error {
	if d, ok := e.of(l).(decliner); ok {
		return d.Decline(ctx, l)
	}
	return nil
}
