package dhcp

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"ingot.dev/ingot/sfyra-tests/island"
)

// Proof T20, short: while somebody broadcasts DISCOVERs of made-up MACs as fast as 5000 a second, machines that appear get
// their lease.
func TestServeInFlood(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	l := newLab(t, "10.77.0.1/24")
	attacker, machine := l.host(3, "10.77.0.9/24"), l.host(4, "")
	cfg := labConfig(t)
	cfg.Subnets[0].Pools = []Range{{ip("10.77.0.100"), ip("10.77.0.200")}}
	s := start(t, cfg)
	var conn *net.UDPConn
	attacker.do(func() {
		var err error
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 68})
		check0(t, err)
	})
	stop, ended := make(chan struct{}), make(chan int)
	go flood(conn, stop, ended)
	got := map[netip.Addr]bool{}
	for n := range 20 {
		c := machine.client(nclient4.WithTimeout(time.Second), nclient4.WithRetry(8), nclient4.WithHWAddr(hostMAC(100+n)))
		lease, err := c.Request(t.Context(), dhcpv4.WithBroadcast(true))
		if err != nil {
			t.Fatalf("machine %d: %v; %+v", n, err, s.Stats())
		}
		got[toAddr(lease.ACK.YourIPAddr)] = true
		c.Close()
	}
	close(stop)
	sent := <-ended
	conn.Close()
	if st := s.Stats(); len(got) != 20 || st.Received < 1000 || len(s.Leases()) != 20 {
		t.Errorf("20 machines got %d addresses, %d leases; flood of %d, %+v", len(got), len(s.Leases()), sent, st)
	}
	t.Logf("flood of %d; %+v", sent, s.Stats())
}

func flood(c *net.UDPConn, stop <-chan struct{}, ended chan<- int) {
	rng := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-stop:
			ended <- n
			return
		case <-tick.C:
		}
		for range 10 {
			p := msg(discover, 0, dhcpv4.WithBroadcast(true))
			u := rng.Uint32()
			p.ClientHWAddr = net.HardwareAddr{2, 0xff, byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)}
			if _, err := c.WriteToUDP(p.ToBytes(), &net.UDPAddr{IP: net.IPv4(10, 77, 0, 1), Port: 67}); err == nil {
				n++
			}
		}
	}
}
