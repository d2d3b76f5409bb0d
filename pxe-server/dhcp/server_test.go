package dhcp

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

func labConfig(t testing.TB) Config {
	return Config{
		Interface: "br0", ServerIP: ip("10.77.0.1"),
		Subnets: []Subnet{{
			Prefix: netip.MustParsePrefix("10.77.0.0/24"), Pools: []Range{{ip("10.77.0.100"), ip("10.77.0.110")}},
			Router: ip("10.77.0.1"), DNS: []netip.Addr{ip("10.77.0.1")}, LeaseTime: time.Hour,
		}},
		LeaseFile: filepath.Join(t.TempDir(), "leases"),
		Boot: Boot{
			NBP: func(a Arch) (string, bool) {
				return map[Arch]string{0: "undionly.kpxe", 7: "snponly.efi", 9: "snponly.efi"}[a], a < 10
			},
			HTTPURL:   func(a Arch) (string, bool) { return "http://10.77.0.1/snponly.efi", a == 16 },
			ScriptURL: "http://10.77.0.1/boot.ipxe",
		},
	}
}

// start serves until the test ends.
func start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func (h host) client(opts ...nclient4.ClientOpt) *nclient4.Client {
	var c *nclient4.Client
	h.do(func() {
		var err error
		if c, err = nclient4.New("eth0", opts...); err != nil {
			h.t.Error(err)
		}
	})
	return c
}
