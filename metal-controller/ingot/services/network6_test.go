package services

import (
	"net/netip"
	"testing"

	"ingot.dev/ingot/pxe-server/dhcp6"
)

var rackNetwork6 = netip.MustParsePrefix("fd77::1/64")

// TestSubnet6: each network that is taken is one that pxe-server takes.
func TestSubnet6(t *testing.T) {
	for name, c := range map[string]struct {
		network Network
		on      string
		pool    string
		parts   []string
	}{
		"nothing":               {Network{}, "fd77::1/64", "fd77::d600:0-fd77::d600:ffff", nil},
		"announced, DNS":        {Network{Announce: true, DNS: []string{"fd77::53"}}, "fd77::1/64", "fd77::d600:0-fd77::d600:ffff", nil},
		"a larger network":      {Network{}, "2001:db8::1/48", "2001:db8::d600:0-2001:db8::d600:ffff", nil},
		"a pool":                {Network{Pool: "fd77::1000 - fd77::1fff"}, "fd77::1/64", "fd77::1000-fd77::1fff", nil},
		"a pool of IPv4":        {Network{Pool: "192.168.77.1-192.168.77.9"}, "fd77::1/64", "", []string{"--dhcp-pool", "two IPv6 addresses of fd77::/64"}},
		"a pool backwards":      {Network{Pool: "fd77::9-fd77::2"}, "fd77::1/64", "", []string{"ends before it begins", "write fd77::2-fd77::9"}},
		"a pool elsewhere":      {Network{Pool: "fd78::1-fd78::9"}, "fd77::1/64", "", []string{"outside the network fd77::/64"}},
		"half a pool":           {Network{Pool: "fd77::9"}, "fd77::1/64", "", []string{"START-END"}},
		"a small network":       {Network{}, "fd77::1/120", "", []string{"--dhcp-pool START-END"}},
		"proxy":                 {Network{Proxy: true}, "fd77::1/64", "", []string{"--proxy-dhcp", "--no-dhcp"}},
		"router":                {Network{Router: "fd77::2"}, "fd77::1/64", "", []string{"--dhcp-router", "announce themselves"}},
		"a name server of IPv4": {Network{DNS: []string{"9.9.9.9"}}, "fd77::1/64", "", []string{"--dhcp-dns", "no IPv6 address"}},
	} {
		prefix := netip.MustParsePrefix(c.on)
		s, err := c.network.subnetOf(prefix)
		wantErr(t, name, err, c.parts...)
		if err != nil {
			continue
		}
		if got := s.Pools[0].From.String() + "-" + s.Pools[0].To.String(); got != c.pool || len(s.DNS) != len(c.network.DNS) {
			t.Errorf("%s: %s, %v; want %s", name, got, s.DNS, c.pool)
		}
		cfg := dhcp6.Config{Interface: "eth1", ServerIP: prefix.Addr(), Prefix: s.Prefix, LeaseFile: "l", DNS: s.DNS, Pool: dhcp6.Range{From: s.Pools[0].From, To: s.Pools[0].To}}
		wantErr(t, name, cfg.Validate())
	}
}

func TestReachable(t *testing.T) {
	for text, parts := range map[string][]string{
		"192.168.77.1": nil, "fd77::1": nil, "2001:db8::1": nil, "::1": nil, "127.0.0.1": nil,
		"fe80::1": {"--address"}, "fd77::1%eth0": {"--address"}, "::ffff:192.0.2.1": {"--address"}, "ff02::1": {"--address"}, "::": {"--address"}, "host": {"--address"},
	} {
		_, err := reachable("--address", text)
		wantErr(t, text, err, parts...)
	}
}
