//go:build e2e

package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/fstest"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/klauspost/compress/zstd"

	"ingot.dev/ingot/boot-assets/initramfs/cpio/cpiotest"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

// giveAddresses is a DHCP server with one address, by another library than Ingot's.
func giveAddresses(t *testing.T, device string) {
	t.Helper()
	server, err := server4.NewServer(device, &net.UDPAddr{Port: dhcpv4.ServerPort}, func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeOffer
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		answer, err := dhcpv4.NewReplyFromRequest(
			m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(192, 168, 77, 50)), dhcpv4.WithServerIP(net.IPv4(192, 168, 77, 1)),
			dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(3600), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 168, 77, 1))),
		)
		if err == nil {
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

// unpack is what the image's initramfs would install.
func unpack(t *testing.T, image []byte) install.System {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	archive, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, e := range cpiotest.Read(t, archive) {
		if e.Mode&0o170000 == 0o100000 {
			files[e.Name] = &fstest.MapFile{Data: e.Data}
		}
	}
	system, err := install.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return system
}
