package network

import (
	"net"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func ack(t *testing.T, address string, options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	t.Helper()
	p, err := dhcpv4.New(dhcpv4.WithYourIP(net.ParseIP(address)))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		p.UpdateOption(o)
	}
	return p
}

func TestReadLease(t *testing.T) {
	mask := dhcpv4.OptSubnetMask(net.CIDRMask(24, 32))
	p := ack(t, "10.0.0.7", mask, dhcpv4.OptRouter(net.IPv4(10, 0, 0, 1)), dhcpv4.OptDNS(net.IPv4(10, 0, 0, 2), net.IPv4(10, 0, 0, 3)),
		dhcpv4.OptIPAddressLeaseTime(time.Hour))
	l, err := read(p)
	if err != nil || l.Address.String() != "10.0.0.7/24" || l.Router.String() != "10.0.0.1" || len(l.DNS) != 2 {
		t.Fatalf("got %+v, %v", l, err)
	}
	for name, c := range map[string]struct {
		p               *dhcpv4.DHCPv4
		duration, renew time.Duration
	}{
		"half of the lease":      {p, time.Hour, 30 * time.Minute},
		"no time at all":         {ack(t, "10.0.0.7", mask), time.Hour, 30 * time.Minute},
		"an absurdly short one":  {ack(t, "10.0.0.7", mask, dhcpv4.OptIPAddressLeaseTime(time.Second)), shortestLease, time.Minute},
		"for ever":               {ack(t, "10.0.0.7", mask, dhcpv4.OptIPAddressLeaseTime(0xFFFFFFFF*time.Second)), longestLease, longestLease / 2},
		"the server's own T1":    {ack(t, "10.0.0.7", mask, dhcpv4.OptIPAddressLeaseTime(time.Hour), dhcpv4.OptRenewTimeValue(10*time.Minute)), time.Hour, 10 * time.Minute},
		"a T1 beyond the lease":  {ack(t, "10.0.0.7", mask, dhcpv4.OptIPAddressLeaseTime(time.Hour), dhcpv4.OptRenewTimeValue(2*time.Hour)), time.Hour, 30 * time.Minute},
		"a T1 of nearly nothing": {ack(t, "10.0.0.7", mask, dhcpv4.OptIPAddressLeaseTime(time.Hour), dhcpv4.OptRenewTimeValue(time.Second)), time.Hour, 30 * time.Minute},
	} {
		if l, err := read(c.p); err != nil || l.Duration != c.duration || l.Renew != c.renew {
			t.Errorf("%s: got %s, %s, %v", name, l.Duration, l.Renew, err)
		}
	}
}

func TestReadRefusesUnusableAddresses(t *testing.T) {
	mask := dhcpv4.OptSubnetMask(net.CIDRMask(24, 32))
	if _, err := read(ack(t, "10.0.0.7", mask)); err != nil {
		t.Fatalf("the control is refused: %v", err)
	}
	for name, p := range map[string]*dhcpv4.DHCPv4{
		"none": ack(t, "0.0.0.0", mask), "loopback": ack(t, "127.0.0.1", mask), "multicast": ack(t, "224.0.0.1", mask),
		"broadcast": ack(t, "255.255.255.255", mask), "no mask": ack(t, "10.0.0.7"), "the whole internet": ack(t, "10.0.0.7", dhcpv4.OptSubnetMask(net.CIDRMask(0, 32))),
		"mask of holes": ack(t, "10.0.0.7", dhcpv4.OptSubnetMask(net.IPv4Mask(255, 0, 255, 0))),
	} {
		if l, err := read(p); err == nil {
			t.Errorf("%s: got %+v", name, l)
		}
	}
}

func FuzzReadLease(f *testing.F) {
	p, err := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(10, 0, 0, 7)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(60))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.ToBytes())
	f.Add(p.ToBytes()[:240])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		if l, err := read(p); err == nil && (!l.Address.IsValid() || l.Renew < time.Minute || l.Renew > l.Duration) {
			t.Errorf("unusable lease %+v", l)
		}
	})
}
