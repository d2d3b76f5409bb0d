package setup

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/pxe-server/dhcp"
)

const goodFile = `apiVersion: pxe.ingot.dev/v1alpha1
kind: PXEServerConfig
interface: eth1
address: 192.0.2.1
stateDir: /var/lib/ingot
agentImage: /usr/share/ingot
moreImages: [/usr/share/ingot-arm64]
assets: {maxFileMiB: 1024, budgetMiB: 8192}
controller: {address: "ingot.example.org:7444", certificate: a, key: b, ca: c}
dhcp:
  peers: [192.0.2.2]
  network:
    pools: ["192.0.2.100-192.0.2.199", "192.0.2.210 - 192.0.2.219"]
    router: 192.0.2.254
    dns: [192.0.2.53]
    ntp: [192.0.2.123]
    domain: lab.example.org
    leaseTime: 1h30m
  relayed:
  - {prefix: 198.51.100.0/24, pools: ["198.51.100.10-198.51.100.20"]}
  reservations:
  - {mac: "52:54:00:78:00:01", ip: 192.0.2.10, hostname: rack1-04}
`

func TestFile(t *testing.T) {
	f, err := ParseFile([]byte(goodFile))
	ok(t, err)
	c, err := f.Config()
	ok(t, err)
	n := c.DHCP.Network
	if c.Interface != "eth1" || c.Address != netip.MustParseAddr("192.0.2.1") || c.StateDir != "/var/lib/ingot" || c.AgentImage != "/usr/share/ingot" {
		t.Errorf("got %+v", c)
	}
	if len(c.MoreImages) != 1 || c.MoreImages[0] != "/usr/share/ingot-arm64" {
		t.Errorf("more images %q", c.MoreImages)
	}
	if c.MaxAsset != 1<<30 || c.AssetBudget != 8<<30 {
		t.Errorf("assets %d of %d bytes", c.MaxAsset, c.AssetBudget)
	}
	if len(n.Pools) != 2 || n.Pools[1].To != netip.MustParseAddr("192.0.2.219") || n.Router != netip.MustParseAddr("192.0.2.254") || n.LeaseTime != 90*time.Minute || n.Domain != "lab.example.org" || len(n.DNS) != 1 || len(n.NTP) != 1 {
		t.Errorf("network %+v", n)
	}
	if p := c.DHCP.Peers; len(p) != 1 || p[0] != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("peers %v", p)
	}
	if r := c.DHCP.Relayed; len(r) != 1 || r[0].Prefix != netip.MustParsePrefix("198.51.100.0/24") || len(r[0].Pools) != 1 {
		t.Errorf("relayed %+v", r)
	}
	if r := c.DHCP.Reservations; len(r) != 1 || r[0].MAC.String() != "52:54:00:78:00:01" || r[0].Hostname != "rack1-04" {
		t.Errorf("reservations %+v", r)
	}
	if tls := f.Controller.TLS(); tls.Certificate != "a" || tls.Key != "b" || tls.CA != "c" {
		t.Errorf("TLS %+v", tls)
	}
}

// TestFileWithMoreNetworks: each has DHCP of its own.
func TestFileWithMoreNetworks(t *testing.T) {
	f, err := ParseFile([]byte(goodFile + "moreNetworks:\n- {interface: eth2, address: 198.18.0.1, dhcp: {proxy: true}}\n- {interface: eth3, dhcp: {network: {pools: [198.19.0.10-198.19.0.20]}}}\n"))
	ok(t, err)
	c, err := f.Config()
	ok(t, err)
	if len(c.More) != 2 || c.More[0].Interface != "eth2" || c.More[0].Address != netip.MustParseAddr("198.18.0.1") || !c.More[0].DHCP.Proxy || len(c.More[1].DHCP.Network.Pools) != 1 {
		t.Errorf("more networks: %+v", c.More)
	}
}

// TestFileRefuses: a mistake is named with the field it is in. The control is TestFile.
func TestFileRefuses(t *testing.T) {
	for want, change := range map[string][2]string{
		`unknown field "interfaces"`:                        {"interface:", "interfaces:"},
		`unknown field "dhpc"`:                              {"dhcp:", "dhpc:"},
		"want kind PXEServerConfig":                         {"kind: PXEServerConfig", "kind: Other"},
		"apiVersion pxe.ingot.dev/v1alpha1":                 {"v1alpha1", "v9"},
		"already set in map":                                {"kind: PXE", "kind: x\nkind: PXE"},
		"interface: name":                                   {"interface: eth1", ""},
		"agentImage: name":                                  {"agentImage: /usr/share/ingot", ""},
		"stateDir: name":                                    {"stateDir: /var/lib/ingot", ""},
		"httpPort: 70000":                                   {"interface: eth1", "interface: eth1\nhttpPort: 70000"},
		"address: fe80::1 is neither":                       {"address: 192.0.2.1", "address: fe80::1"},
		"ParseAddr":                                         {"address: 192.0.2.1", "address: eth1"},
		`controller.address: "ingot.example.org"`:           {"ingot.example.org:7444", "ingot.example.org"},
		"certificate, key and ca":                           {"key: b, ", ""},
		"dhcp.network.pools[0]":                             {"192.0.2.100-192.0.2.199", "192.0.2.199-192.0.2.100"},
		"or 2001:db8::1000-2001:db8::1fff":                  {"192.0.2.100-192.0.2.199", "192.0.2.100-2001:db8::1"},
		"dhcp.network.pools[1]":                             {"192.0.2.210 - 192.0.2.219", "192.0.2.210"},
		"dhcp.network.leaseTime":                            {"1h30m", "soon"},
		"dhcp.network.prefix":                               {"router:", "prefix: 192.0.2.0/24\n    router:"},
		"dhcp.relayed[0].pools[0]":                          {"198.51.100.10-198.51.100.20", "x"},
		"dhcp.reservations[0].mac":                          {"52:54:00:78:00:01", "52:54"},
		"dhcp: a proxy gives no addresses":                  {"dhcp:", "dhcp:\n  proxy: true"},
		"dhcp: it is disabled":                              {"dhcp:", "dhcp:\n  disabled: true"},
		`moreNetworks[0].interface: eth1 is served already`: {"dhcp:", "moreNetworks: [{interface: eth1, dhcp: {proxy: true}}]\ndhcp:"},
		"moreNetworks[0].interface: name":                   {"dhcp:", "moreNetworks: [{dhcp: {proxy: true}}]\ndhcp:"},
		"moreNetworks[1].dhcp: give a pool":                 {"dhcp:", "moreNetworks: [{interface: eth2, dhcp: {proxy: true}}, {interface: eth3}]\ndhcp:"},
		"moreNetworks[0]: dhcp.network.pools[0]":            {"dhcp:", "moreNetworks: [{interface: eth2, dhcp: {network: {pools: [x]}}}]\ndhcp:"},
		"moreNetworks[0].address":                           {"dhcp:", "moreNetworks: [{interface: eth2, address: \"::1\", dhcp: {proxy: true}}]\ndhcp:"},
		"at most 1048576":                                   {"dhcp:", "#" + strings.Repeat("x", 1<<20) + "\ndhcp:"},
	} {
		text := strings.Replace(goodFile, change[0], change[1], 1)
		if text == goodFile {
			t.Fatalf("%s changes nothing", want)
		}
		f, err := ParseFile([]byte(text))
		if err == nil {
			_, err = f.Config()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestNothingToGive: a DHCP server without addresses is a mistake, one that is off is not.
func TestNothingToGive(t *testing.T) {
	c := Config{Interface: "eth0", StateDir: "s", AgentImage: "a"}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "give a pool") {
		t.Errorf("got %v", err)
	}
	for name, d := range map[string]DHCP{"off": {Disabled: true}, "proxy": {Proxy: true}, "proxy behind relays": {Proxy: true, Relayed: []dhcp.Subnet{{}}}} {
		c.DHCP = d
		if err := c.Check(); err != nil {
			t.Errorf("DHCP %s: %v", name, err)
		}
	}
	c.DHCP = DHCP{Disabled: true, Proxy: true}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "remove one of both") {
		t.Errorf("off and proxy: %v", err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte(goodFile))
	f.Add([]byte("{}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("apiVersion: pxe.ingot.dev/v1alpha1\nkind: PXEServerConfig\ndhcp: {reservations: [{}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := ParseFile(text)
		if err != nil {
			return
		}
		if c, err := file.Config(); err == nil && c.Check() != nil {
			t.Error("a good file gives a bad configuration")
		}
	})
}
