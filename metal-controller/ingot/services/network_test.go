package services

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"ingot.dev/ingot/pxe-server/dhcp"
)

var rackNetwork = netip.MustParsePrefix("192.168.77.1/24")

// wantErr checks that an error names every part; no parts: that there is none.
func wantErr(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	if len(parts) == 0 {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if err == nil {
		t.Errorf("%s: no error, want %q", what, parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %q does not name %q", what, err, p)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: more than one line: %q", what, err)
	}
}

func TestPools(t *testing.T) {
	for text, parts := range map[string][]string{
		"192.168.77.100-192.168.77.200":   nil,
		"192.168.77.100 - 192.168.77.200": nil,
		"192.168.77.9-192.168.77.9":       nil,
		"nonsense":                        {"--dhcp-pool", "START-END", "192.168.77.0/24"},
		"192.168.77.100":                  {"--dhcp-pool", "START-END"},
		"::1-::9":                         {"IPv4"},
		"192.168.77.200-192.168.77.100":   {"ends before it begins", "write 192.168.77.100-192.168.77.200"},
		"10.0.0.1-10.0.0.9":               {"outside the network 192.168.77.0/24"},
		"192.168.77.200-192.168.78.9":     {"outside the network 192.168.77.0/24"},
	} {
		_, err := pools(text, rackNetwork)
		wantErr(t, text, err, parts...)
	}
	_, err := pools("10.0.0.0-10.200.0.0", netip.MustParsePrefix("10.0.0.1/8"))
	wantErr(t, "a large pool", err, "65536 addresses")
}

// TestPoolsThatAreGuessed: each is one that pxe-server takes.
func TestPoolsThatAreGuessed(t *testing.T) {
	for network, want := range map[string]string{
		"192.168.77.1/24": "192.168.77.128-192.168.77.254",
		"192.0.2.9/29":    "192.0.2.12-192.0.2.14",
		"10.1.2.3/8":      "10.128.0.0-10.128.255.255",
		"192.0.2.9/30":    "",
		"192.0.2.9/32":    "",
	} {
		prefix := netip.MustParsePrefix(network)
		got, err := pools("", prefix)
		if want == "" {
			wantErr(t, network, err, "--dhcp-pool START-END")
			continue
		}
		if err != nil || got[0].From.String()+"-"+got[0].To.String() != want {
			t.Errorf("%s: %v, %v, want %s", network, got, err, want)
			continue
		}
		c := dhcp.Config{Interface: "eth1", ServerIP: prefix.Addr(), LeaseFile: "leases", Subnets: []dhcp.Subnet{{Prefix: prefix.Masked(), Pools: got}}}
		wantErr(t, network, c.Validate())
	}
}

func TestSubnet(t *testing.T) {
	for name, c := range map[string]struct {
		network Network
		parts   []string
	}{
		"nothing":              {Network{}, nil},
		"router and DNS":       {Network{Router: "192.168.77.254", DNS: []string{"9.9.9.9", "192.168.77.2"}}, nil},
		"router of words":      {Network{Router: "gateway"}, []string{"--dhcp-router", "gateway"}},
		"router elsewhere":     {Network{Router: "10.0.0.1"}, []string{"--dhcp-router 10.0.0.1", "192.168.77.0/24"}},
		"name server of words": {Network{DNS: []string{"9.9.9.9", "dns"}}, []string{"--dhcp-dns", "dns"}},
		"announced":            {Network{Announce: true}, []string{"--announce-prefix", "--address"}},
		"name server of IPv6":  {Network{DNS: []string{"::1"}}, []string{"--dhcp-dns", "IPv4"}},
		"pool":                 {Network{Pool: "x"}, []string{"--dhcp-pool"}},
		"proxy":                {Network{Proxy: true}, nil},
		"no DHCP":              {Network{NoDHCP: true}, nil},
		"no DHCP, a proxy":     {Network{NoDHCP: true, Proxy: true}, []string{"--no-dhcp", "--proxy-dhcp"}},
		"no DHCP with a pool":  {Network{NoDHCP: true, Pool: "192.168.77.9-192.168.77.10"}, []string{"--no-dhcp", "--dhcp-pool"}},
		"proxy with a pool":    {Network{Proxy: true, Pool: "192.168.77.9-192.168.77.10"}, []string{"--proxy-dhcp", "--dhcp-pool"}},
		"proxy with a router":  {Network{Proxy: true, Router: "192.168.77.254"}, []string{"--proxy-dhcp", "--dhcp-router"}},
	} {
		s, err := c.network.subnetOf(rackNetwork)
		wantErr(t, name, err, c.parts...)
		want := 1
		if c.network.Proxy || c.network.NoDHCP {
			want = 0 // somebody else's
		}
		if err == nil && (s.Prefix != rackNetwork.Masked() || len(s.Pools) != want || len(s.DNS) != len(c.network.DNS)) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestChooseAddress(t *testing.T) {
	on := func(list ...string) (all []net.Addr) {
		for _, text := range list {
			ip, network, err := net.ParseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return all
	}
	both := on("fe80::1/64", "192.168.77.1/24", "10.0.0.1/8")
	for name, c := range map[string]struct {
		addrs   []net.Addr
		address string
		want    string
		parts   []string
	}{
		"the first":   {both, "", "192.168.77.1/24", nil},
		"the wanted":  {both, "10.0.0.1", "10.0.0.1/8", nil},
		"another":     {both, "10.0.0.2", "", []string{"--address 10.0.0.2", "192.168.77.1, 10.0.0.1"}},
		"IPv6 alone":  {on("fe80::1/64", "fd77::1/64", "2001:db8::1/64"), "", "fd77::1/64", nil},
		"IPv6 wanted": {append(both, on("fd77::1/64")...), "fd77::1", "fd77::1/64", nil},
		"IPv4 first":  {append(on("fd77::1/64"), both...), "", "192.168.77.1/24", nil},
		"link alone":  {on("fe80::1/64"), "", "", []string{"no address that machines can be served on", "ip addr add"}},
		"none at all": {nil, "10.0.0.2", "", []string{"no address that machines"}},
	} {
		n := Network{Interface: "eth1", Address: c.address}
		got, err := n.choose(c.addrs)
		wantErr(t, name, err, c.parts...)
		if err == nil && got.String() != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestPrefixOfInterfaces(t *testing.T) {
	_, err := (&Network{Interface: "nothere0"}).prefix()
	wantErr(t, "no such interface", err, "--interface nothere0", "ip -br address")
	got, err := (&Network{Interface: "lo"}).prefix()
	wantErr(t, "loopback", err)
	if got.Addr().String() != "127.0.0.1" {
		t.Errorf("lo: %s", got)
	}
}
