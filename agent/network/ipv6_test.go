package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/mdlayher/ndp"
)

// named is a Client that gives one lease, or one error.
type named struct {
	address string
	err     error
	renewed int
	waits   bool
}

func (n *named) Request(ctx context.Context, _ string) (Lease, error) {
	if n.waits {
		<-ctx.Done()
		return Lease{}, ErrNoServer
	}
	if n.err != nil {
		return Lease{}, n.err
	}
	return Lease{Address: netip.MustParsePrefix(n.address)}, nil
}

func (n *named) Renew(_ context.Context, l Lease) (Lease, error) { n.renewed++; return l, nil }

// TestFor: the address in the URL says which family is asked for; a name leaves both, IPv4 first.
func TestFor(t *testing.T) {
	four, six := &named{address: "192.0.2.7/24"}, &named{address: "2001:db8::7/128"}
	silent, waiting := &named{err: ErrNoServer}, &named{waits: true}
	for name, c := range map[string]struct {
		url       string
		four, six *named
		want      string
	}{
		"IPv4":             {"https://192.0.2.1:7443", four, six, "192.0.2.7/24"},
		"IPv6":             {"https://[2001:db8::1]:7443", four, six, "2001:db8::7/128"},
		"no URL":           {"::", four, six, "192.0.2.7/24"},
		"a name":           {"https://ingot.example.org:7443", four, six, "192.0.2.7/24"},
		"a name, no IPv6":  {"https://ingot.example.org:7443", four, waiting, "192.0.2.7/24"},
		"a name, no IPv4":  {"https://ingot.example.org:7443", silent, six, "2001:db8::7/128"},
		"a name, neither":  {"https://ingot.example.org:7443", silent, silent, ""},
		"IPv6, and none":   {"https://[2001:db8::1]:7443", four, silent, ""},
		"IPv4, and none":   {"https://192.0.2.1:7443", silent, six, ""},
		"IPv4 within IPv6": {"https://[::ffff:192.0.2.1]:7443", four, six, "192.0.2.7/24"},
	} {
		client := For(c.url, c.four, c.six)
		l, err := client.Request(t.Context(), "eth0")
		if c.want == "" {
			if !errors.Is(err, ErrNoServer) {
				t.Errorf("%s: got %+v, %v", name, l, err)
			}
			continue
		}
		if err != nil || l.Address.String() != c.want {
			t.Errorf("%s: got %+v, %v, want %s", name, l, err, c.want)
		}
		four.renewed, six.renewed = 0, 0
		if _, err := client.Renew(t.Context(), l); err != nil || four.renewed+six.renewed != 1 || (four.renewed == 1) != l.Address.Addr().Is4() {
			t.Errorf("%s: renewed %d over IPv4, %d over IPv6, %v", name, four.renewed, six.renewed, err)
		}
	}
}

func TestReadAdvice(t *testing.T) {
	prefix := func(change func(*ndp.PrefixInformation)) ndp.Option {
		p := &ndp.PrefixInformation{PrefixLength: 64, AutonomousAddressConfiguration: true, ValidLifetime: time.Hour, Prefix: netip.MustParseAddr("2001:db8::")}
		change(p)
		return p
	}
	good := prefix(func(*ndp.PrefixInformation) {})
	for name, c := range map[string]struct {
		ra   ndp.RouterAdvertisement
		own  int
		some bool
	}{
		"nothing":              {ndp.RouterAdvertisement{}, 0, false},
		"a router alone":       {ndp.RouterAdvertisement{RouterLifetime: time.Hour, OtherConfiguration: true}, 0, false},
		"DHCPv6":               {ndp.RouterAdvertisement{ManagedConfiguration: true}, 0, true},
		"a prefix":             {ndp.RouterAdvertisement{Options: []ndp.Option{good}}, 1, true},
		"not for addresses":    {ndp.RouterAdvertisement{Options: []ndp.Option{prefix(func(p *ndp.PrefixInformation) { p.AutonomousAddressConfiguration = false })}}, 0, false},
		"another length":       {ndp.RouterAdvertisement{Options: []ndp.Option{prefix(func(p *ndp.PrefixInformation) { p.PrefixLength = 80 })}}, 0, false},
		"over":                 {ndp.RouterAdvertisement{Options: []ndp.Option{prefix(func(p *ndp.PrefixInformation) { p.ValidLifetime = 0 })}}, 0, false},
		"of the link":          {ndp.RouterAdvertisement{Options: []ndp.Option{prefix(func(p *ndp.PrefixInformation) { p.Prefix = netip.MustParseAddr("fe80::") })}}, 0, false},
		"more than are needed": {ndp.RouterAdvertisement{Options: []ndp.Option{good, good, good, good, good, good, good, good, good, good}}, mostPrefixes, true},
	} {
		if a := readAdvice(&c.ra); len(a.own) != c.own || a.some() != c.some {
			t.Errorf("%s: got %+v", name, a)
		}
	}
	a := readAdvice(&ndp.RouterAdvertisement{Options: []ndp.Option{&ndp.RecursiveDNSServer{Lifetime: time.Hour, Servers: []netip.Addr{
		netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("2001:db8::54"),
	}}}})
	if len(a.dns) != 2 {
		t.Errorf("name servers %v", a.dns)
	}
}

// FuzzAdvice: whatever is on the wire, what is taken of it can be used.
func FuzzAdvice(f *testing.F) {
	for _, ra := range []*ndp.RouterAdvertisement{{}, {ManagedConfiguration: true, Options: []ndp.Option{&onLink, &ndp.RecursiveDNSServer{Lifetime: time.Hour, Servers: []netip.Addr{netip.MustParseAddr("fd09::53")}}}}} {
		b, err := ndp.MarshalMessage(ra)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ndp.ParseMessage(b)
		if err != nil {
			return
		}
		if ra, ok := m.(*ndp.RouterAdvertisement); ok {
			a := readAdvice(ra)
			for _, p := range a.own {
				if p.Bits() != 64 || p != p.Masked() || !beyondLink(p.Addr()) && p.Addr() != netip.IPv6Unspecified() {
					t.Errorf("a prefix that no host can use: %s", p)
				}
			}
			if len(a.own) > mostPrefixes || len(a.dns) > mostDNS {
				t.Errorf("%+v", a)
			}
		}
	})
}

// reply is what a server answers, with an address and its lifetime.
func reply(ip string, life, t1 time.Duration, more ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply}
	id := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 7}}
	m.AddOption(dhcpv6.OptClientID(id))
	m.AddOption(dhcpv6.OptServerID(id))
	n := &dhcpv6.OptIANA{T1: t1}
	n.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(ip), ValidLifetime: life})
	m.AddOption(n)
	for _, o := range more {
		m.AddOption(o)
	}
	return m
}

func TestRead6(t *testing.T) {
	advertise := reply("2001:db8::7", time.Hour, 0)
	advertise.MessageType = dhcpv6.MessageTypeAdvertise
	for name, c := range map[string]struct {
		m               *dhcpv6.Message
		duration, renew time.Duration
		err             error
	}{
		"the server's own T1":   {reply("2001:db8::7", time.Hour, 10*time.Minute), time.Hour, 10 * time.Minute, nil},
		"no T1":                 {reply("2001:db8::7", time.Hour, 0), time.Hour, 30 * time.Minute, nil},
		"a T1 beyond the lease": {reply("2001:db8::7", time.Hour, 2*time.Hour), time.Hour, 30 * time.Minute, nil},
		"an absurdly short one": {reply("2001:db8::7", time.Second, 0), shortestLease, time.Minute, nil},
		"for ever":              {reply("2001:db8::7", 0xffffffff*time.Second, 0), longestLease, longestLease / 2, nil},
		"it ends":               {reply("2001:db8::7", 0, 0), 0, 0, ErrRefused},
		"refused":               {reply("2001:db8::7", time.Hour, 0, &dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail}), 0, 0, ErrRefused},
		"only an offer":         {advertise, 0, 0, ErrRefused},
		"nothing":               {&dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply}, 0, 0, ErrRefused},
	} {
		l, err := read6(c.m)
		if !errors.Is(err, c.err) || l.Duration != c.duration || l.Renew != c.renew || err == nil && l.Address.String() != "2001:db8::7/128" {
			t.Errorf("%s: got %+v, %v", name, l, err)
		}
	}
	for _, unusable := range []string{"::", "::1", "fe80::7", "ff02::1", "::ffff:192.0.2.7"} {
		if l, err := read6(reply(unusable, time.Hour, 0)); err == nil {
			t.Errorf("%s: got %+v", unusable, l)
		}
	}
}

func FuzzRead6(f *testing.F) {
	f.Add(reply("2001:db8::7", time.Hour, 0, dhcpv6.OptDNS(net.ParseIP("2001:db8::53"))).ToBytes())
	f.Add(reply("fe80::7", 0, 0).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcpv6.MessageFromBytes(b)
		if err != nil {
			return
		}
		if l, err := read6(m); err == nil && (!beyondLink(l.Address.Addr()) || l.Renew < time.Minute || l.Renew > l.Duration || len(l.DNS) > mostDNS) {
			t.Errorf("unusable lease %+v", l)
		}
	})
}
