package solicit

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/island"
)

// tagged is a machine of another VLAN.
var tagged = mac{2, 0, 0, 0, 0, 0x77}

// TestOnTheWire: a machine that boots is answered on real sockets; its neighbour is not, nor one that boots in another VLAN of a trunk.
func TestOnTheWire(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "far"}))
	for _, name := range []string{"eth0", "far"} {
		link, err := netlink.LinkByName(name)
		ok(err)
		ok(netlink.LinkSetUp(link))
	}
	s, err := New(Config{Interface: "eth0"})
	ok(err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	far, err := net.InterfaceByName("far")
	ok(err)
	conn, err := packet.Listen(far, packet.Raw, unix.ETH_P_IPV6, nil)
	ok(err)
	defer conn.Close()
	questions := map[mac][]byte{another: ask(t, another), machine: ask(t, machine)}
	send := func(from mac) {
		frame := append(append(append([]byte{}, allRouters...), from[:]...), 0x86, 0xdd)
		_, _ = conn.WriteTo(append(frame, questions[from]...), &packet.Addr{HardwareAddr: allRouters}) // sent again and again
	}
	s.Boots(machine.hardware())
	s.Boots(tagged.hardware()) // it does boot, but in a VLAN that is not ours
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel()
	sending.Go(func() { // the link may take a moment to carry
		for {
			send(another)
			_, _ = conn.WriteTo(append(append(append(append([]byte{}, allRouters...), tagged[:]...), 0x81, 0, 0, 10, 0x86, 0xdd), ask(t, tagged)...), &packet.Addr{HardwareAddr: allRouters})
			send(machine)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	ok(conn.SetReadDeadline(time.Now().Add(10 * time.Second)))
	for b, n := make([]byte, 2000), 0; n == 0 || b[14+6] != icmpv6 || b[14+headerLen] != byte(advertisement); {
		if n, _, err = conn.ReadFrom(b); err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if mac(b[:6]) == tagged {
			t.Error("a machine of another VLAN was answered")
		}
		if mac(b[:6]) == another {
			t.Error("the neighbour, which does not boot, was answered")
		}
		if b[14+headerLen] == byte(advertisement) && mac(b[:6]) != machine {
			t.Errorf("an answer to %x", b[:6])
		}
	}
	cancel()
	ok(<-done)
}
