// Package dhcptest gives addresses to servers of a rack in tests that are not about Ingot's own DHCP, by another library than Ingot's.
package dhcptest

import (
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
)

// Serve gives one address to whoever asks on the device, until the test ends. self is the switch's address with the length of its network.
func Serve(t testing.TB, device string, self netip.Prefix, address netip.Addr) {
	t.Helper()
	server, err := server4.NewServer(device, &net.UDPAddr{Port: dhcpv4.ServerPort}, func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		if answer, err := reply(m, self, address); err == nil {
			_, _ = conn.WriteTo(answer.ToBytes(), peer)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve()
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

func reply(m *dhcpv4.DHCPv4, self netip.Prefix, address netip.Addr) (*dhcpv4.DHCPv4, error) {
	kind := dhcpv4.MessageTypeOffer
	if m.MessageType() == dhcpv4.MessageTypeRequest {
		kind = dhcpv4.MessageTypeAck
	}
	server := net.IP(self.Addr().AsSlice())
	return dhcpv4.NewReplyFromRequest(
		m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(address.AsSlice()), dhcpv4.WithServerIP(server),
		dhcpv4.WithNetmask(net.CIDRMask(self.Bits(), self.Addr().BitLen())), dhcpv4.WithLeaseTime(3600), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)),
	)
}
