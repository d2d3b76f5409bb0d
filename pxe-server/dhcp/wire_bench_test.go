//go:build bench

package dhcp

import (
	"net"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"ingot.dev/ingot/sfyra-tests/island"
)

// TestBenchWire prints OFFERs per second over a veth, beside a plain UDP echo over the same link (the floor):
//
//	go test -tags bench -run TestBenchWire -v ./pxe-server/dhcp
func TestBenchWire(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	const rounds = 20_000
	l := newLab(t, "10.77.0.1/24")
	relay := l.host(3, "10.77.0.9/24")
	cfg := labConfig(t)
	cfg.Limits = Limits{PerMACRate: 1e9, PerMACBurst: 1e9, InterfaceRate: 1e9, InterfaceBurst: 1e9}
	start(t, cfg)
	echo := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 77, 0, 1), Port: 7}))
	defer echo.Close()
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := echo.ReadFromUDP(b)
			if err != nil {
				return
			}
			echo.WriteToUDP(b[:n], from)
		}
	}()
	var c *net.UDPConn
	relay.do(func() {
		var err error
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 67})
		check0(t, err)
	})
	defer c.Close()
	p := msg(discover, 5, append(pxe("PXEClient:Arch:00007:UNDI:003000", 7), giaddr("10.77.0.9"))...).ToBytes()
	measure := func(port int) float64 {
		b := make([]byte, 1500)
		begin := time.Now()
		for range rounds {
			if _, err := c.WriteToUDP(p, &net.UDPAddr{IP: net.IPv4(10, 77, 0, 1), Port: port}); err != nil {
				t.Fatal(err)
			}
			check0(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
			n, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if port == 67 && dhcpv4.OpcodeType(b[0]) != dhcpv4.OpcodeBootReply || n < 240 {
				t.Fatalf("no OFFER: % x", b[:8])
			}
		}
		return rounds / time.Since(begin).Seconds()
	}
	floor, offers := measure(7), measure(67)
	t.Logf("DHCP offers over veth, one at a time: %.0f/s; floor (UDP echo): %.0f/s; ratio %.2f", offers, floor, offers/floor)
}
