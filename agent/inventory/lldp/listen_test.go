package lldp

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/island"
)

// TestListen has a cable; a switch at one end sends junk, then a good frame.
func TestListen(t *testing.T) {
	if !island.Inside(t, "-test.timeout=60s") {
		return
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "switch0"}, PeerName: "host0"}); err != nil {
		t.Fatal(err)
	}
	index := map[string]int{}
	for _, name := range []string{"switch0", "host0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
		index[name] = link.Attrs().Index
	}
	t.Run("hears", func(t *testing.T) { hears(t, index["switch0"], index["host0"]) })
	t.Run("gives up", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := Listen(ctx, index["host0"]); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses an interface that is not there", func(t *testing.T) {
		if _, err := Listen(t.Context(), 9999); err == nil {
			t.Error("no error")
		}
	})
}

func hears(t *testing.T, from, to int) {
	done := make(chan struct{})
	defer close(done)
	go repeat(from, done, frame(mac, tlv(3, "x")), frame(mac, port, ttl, tlv(5, "leaf-01"), end))
	n, err := Listen(t.Context(), to)
	if want := (Neighbor{"52:54:00:aa:bb:cc", "Eth1/7", "", "leaf-01"}); err != nil || n != want {
		t.Errorf("got %+v, %v", n, err)
	}
}

// repeat sends the frames to the LLDP group until done closes, since nobody knows when the listener is ready.
func repeat(ifindex int, done <-chan struct{}, frames ...[]byte) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, EtherType))
	to := &unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: protocol}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, f := range frames {
			copy(f, []byte{0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e})
			_ = unix.Sendto(fd, f, 0, to)
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}
