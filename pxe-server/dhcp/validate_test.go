package dhcp

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"":                               func(*Config) {},
		"interface: \"\"":                func(c *Config) { c.Interface = "" },
		"serverIP: invalid IP":           func(c *Config) { c.ServerIP = netip.Addr{} },
		"serverIP: ::1":                  func(c *Config) { c.ServerIP = ip("::1") },
		"mode: 7":                        func(c *Config) { c.Mode = 7 },
		"peers[0]: ::1 is not":           func(c *Config) { c.Peers = []netip.Addr{ip("::1")} },
		"leaseFile":                      func(c *Config) { c.LeaseFile = "" },
		"mode: a proxy gives no":         func(c *Config) { c.Mode = Proxy },
		"a proxy gives no addresses":     func(c *Config) { *c = proxyConfig(); c.Reservations = testConfig().Reservations },
		"subnets: give":                  func(c *Config) { c.Subnets = nil; c.Reservations = nil },
		"subnets[0].prefix: 10.0.0.5/24": func(c *Config) { c.Subnets[0].Prefix = netip.MustParsePrefix("10.0.0.5/24") },
		"subnets[0].prefix: fd00::/64":   func(c *Config) { c.Subnets[0].Prefix = netip.MustParsePrefix("fd00::/64") },
		"subnets[1].prefix: 10.0.0.0/8 overlaps subnets[0]": func(c *Config) {
			c.Subnets[1].Prefix = netip.MustParsePrefix("10.0.0.0/8")
		},
		"subnets[1].pools[0]: 10.8.0.1-10.8.0.9 is outside": func(c *Config) { c.Subnets[1].Pools[0] = Range{ip("10.8.0.1"), ip("10.8.0.9")} },
		"subnets[0].pools[1]: 10.0.0.3-10.0.0.9 overlaps":   func(c *Config) { c.Subnets[0].Pools[1] = Range{ip("10.0.0.3"), ip("10.0.0.9")} },
		"subnets[0].pools[0]: 10.0.0.9-10.0.0.8 is not":     func(c *Config) { c.Subnets[0].Pools[0] = Range{ip("10.0.0.9"), ip("10.0.0.8")} },
		"subnets[0].router: 10.1.0.1 is outside":            func(c *Config) { c.Subnets[0].Router = ip("10.1.0.1") },
		"subnets[0].dns[0]: ::1":                            func(c *Config) { c.Subnets[0].DNS = []netip.Addr{ip("::1")} },
		"subnets[0].ntp: 9 addresses":                       func(c *Config) { c.Subnets[0].NTP = make([]netip.Addr, 9) },
		"subnets[0].domain: \"a b\"":                        func(c *Config) { c.Subnets[0].Domain = "a b" },
		"subnets[0].leaseTime: 1s":                          func(c *Config) { c.Subnets[0].LeaseTime = time.Second },
		"reservations[1].mac: 02:00:00:00:00:4d is also in": func(c *Config) { c.Reservations[1].MAC = hostMAC(77) },
		"reservations[1].ip: 10.0.0.77 is also in":          func(c *Config) { c.Reservations[1].IP = ip("10.0.0.77") },
		"reservations[0].ip: 10.0.0.1 is no":                func(c *Config) { c.Reservations[0].IP = ip("10.0.0.1") },
		"reservations[0].ip: 10.0.0.255 is no":              func(c *Config) { c.Reservations[0].IP = ip("10.0.0.255") },
		"reservations[0].ip: 192.168.0.5 is no":             func(c *Config) { c.Reservations[0].IP = ip("192.168.0.5") },
		`reservations[0].mac: "01:00:5e`:                    func(c *Config) { c.Reservations[0].MAC = net.HardwareAddr{1, 0, 0x5e, 0, 0, 1} },
		"reservations[0].hostname":                          func(c *Config) { c.Reservations[0].Hostname = "x\ny" },
		"the pools hold 1310": func(c *Config) {
			c.Subnets[1].Prefix = netip.MustParsePrefix("172.16.0.0/12")
			c.Subnets[1].Router, c.Subnets[1].Pools = netip.Addr{}, []Range{{ip("172.16.0.0"), ip("172.17.255.255")}}
		},
	} {
		c := testConfig()
		spoil(&c)
		err := c.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
}
