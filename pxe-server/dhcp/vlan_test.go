package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/sfyra-tests/island"
)

// TestTaggedIsNotHeard: on a trunk, frames of a VLAN for which this machine has no interface concern nobody here: neither the port of the server hears a client
// of that VLAN, nor the ear a DHCP server there. The control are the same messages without a tag.
func TestTaggedIsNotHeard(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	check0(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "trunk"}))
	eth0 := must[netlink.Link](t)(netlink.LinkByName("eth0"))
	check0(t, netlink.AddrAdd(eth0, must[*netlink.Addr](t)(netlink.ParseAddr("10.7.0.1/24"))))
	for _, l := range []string{"eth0", "trunk"} {
		check0(t, netlink.LinkSetUp(must[netlink.Link](t)(netlink.LinkByName(l))))
	}
	waitUp(t, "eth0")
	waitUp(t, "trunk")
	ear := must[*airwave](t)(newAirwave(must[*net.Interface](t)(net.InterfaceByName("eth0"))))
	defer ear.close()
	port := must[net.PacketConn](t)((&net.ListenConfig{}).ListenPacket(context.Background(), "udp4", ":67"))
	defer port.Close()
	trunk := must[*packet.Conn](t)(packet.Listen(must[*net.Interface](t)(net.InterfaceByName("trunk")), packet.Raw, etherIPv4, nil))
	defer trunk.Close()
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	send := func(tag []byte, from, to uint16, text string) {
		frame := append(append(append([]byte{}, everybody...), hostMAC(9)...), tag...)
		b := datagram(netip.AddrPortFrom(netip.MustParseAddr("10.7.0.9"), from), netip.AddrPortFrom(broadcast, to), []byte(text))
		must[int](t)(trunk.WriteTo(append(append(frame, 0x08, 0x00), b...), &packet.Addr{HardwareAddr: everybody}))
	}
	for _, tag := range [][]byte{{0x81, 0x00, 0x00, 0x0a}, nil} { // VLAN 10 (IEEE 802.1Q), and none
		text := "untagged"
		if tag != nil {
			text = "tagged"
		}
		send(tag, serverPort, clientPort, text)
		send(tag, clientPort, serverPort, text)
	}
	until := time.Now().Add(5 * time.Second)
	check0(t, errors.Join(ear.conn.SetReadDeadline(until), port.SetReadDeadline(until)))
	b := make([]byte, 2048)
	if got, err := ear.hear(b); err != nil || string(got) != "untagged" {
		t.Errorf("the ear heard %q first, %v", got, err)
	}
	if n, _, err := port.ReadFrom(b); err != nil || string(b[:n]) != "untagged" {
		t.Errorf("the server's port heard %q first, %v", b[:n], err)
	}
	check0(t, errors.Join(ear.conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)), port.SetReadDeadline(time.Now().Add(100*time.Millisecond))))
	if got, err := ear.hear(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the ear heard %q as well, %v", got, err)
	}
	if n, _, err := port.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server's port heard %q as well, %v", b[:n], err)
	}
}
