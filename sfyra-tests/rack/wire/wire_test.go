package wire

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/rack/netns"
	"ingot.dev/ingot/sfyra-tests/rack/pcap"
)

func TestMain(m *testing.M) { netns.Main(m) }

var (
	address = netip.MustParsePrefix("192.168.77.1/24")
	sender  = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 9}
)

func newSwitch(t *testing.T, taps ...string) *Switch {
	t.Helper()
	s, err := NewSwitch("br-test", net.HardwareAddr{0x52, 0x54, 0, 0xff, 0xff, 1}, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	for _, tap := range taps {
		if err := s.AddTap(tap); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// plug takes QEMU's place on a tap: what it reads is what the guest's NIC gets.
func plug(t *testing.T, tap string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	request, err := unix.NewIfreq(tap)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	up := carrier(t, tap)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		t.Fatal(err)
	}
	nic := os.NewFile(uintptr(fd), tap)
	t.Cleanup(func() { _ = nic.Close() })
	if err := nic.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	up()
	return nic
}

// carrier watches for the link of a tap: the kernel drops what is sent before
// it has noticed that the cable is in.
func carrier(t *testing.T, tap string) (await func()) {
	t.Helper()
	updates, done := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	if err := netlink.LinkSubscribe(updates, done); err != nil {
		t.Fatal(err)
	}
	return func() {
		for update := range updates {
			if attrs := update.Attrs(); attrs.Name == tap && attrs.OperState == netlink.OperUp {
				break
			}
		}
		close(done)
		for range updates { // it closes the channel when it has ended
		}
	}
}

func frame(to net.HardwareAddr, kind uint16, text string) []byte {
	f := append(append([]byte{}, to...), sender...)
	f = append(f, byte(kind>>8), byte(kind))
	return append(f, text...)
}

// readUntil skips what the kernel says by itself.
func readUntil(t *testing.T, nic *os.File, text string) {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, err := nic.Read(buf)
		if err != nil {
			t.Fatalf("%q did not arrive: %v", text, err)
		}
		if bytes.Contains(buf[:n], []byte(text)) {
			return
		}
	}
}

func contains(text string) func([]byte) bool {
	return func(frame []byte) bool { return bytes.Contains(frame, []byte(text)) }
}

var (
	broadcast     = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	nearestBridge = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e}
)

const (
	lldpType = 0x88cc
	testType = 0x88b5 // for experiments (IEEE 802)
)

func TestFrameReachesOneGuestOnly(t *testing.T) {
	newSwitch(t, "tap0", "tap1")
	first, second := plug(t, "tap0"), plug(t, "tap1")
	port, err := OpenPort("tap0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	if err := port.Send(frame(nearestBridge, lldpType, "lldp for the first")); err != nil {
		t.Fatal(err)
	}
	readUntil(t, first, "lldp for the first")

	// The control and the order at once: a broadcast by the first guest comes
	// over the bridge to the second one, and no LLDP came before it.
	witness, err := StartCapture("tap1", filepath.Join(t.TempDir(), "tap1.pcap"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	for _, f := range [][]byte{frame(nearestBridge, lldpType, "lldp by the guest"), frame(broadcast, testType, "broadcast")} {
		if _, err := first.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	readUntil(t, second, "broadcast")
	if n := witness.Count(contains("lldp")); n != 0 {
		t.Errorf("%d LLDP frames crossed the bridge", n)
	}
}

func TestCaptureFile(t *testing.T) {
	newSwitch(t, "tap0")
	nic := plug(t, "tap0")
	path := filepath.Join(t.TempDir(), "bridge.pcap")
	at := time.Unix(1700000000, 0)
	c, err := StartCapture("br-test", path, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nic.Write(frame(broadcast, testType, "hello")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen, err := c.Await(ctx, contains("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Await(ctx, contains("never")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("waiting on a closed capture: %v", err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcap.NewReader(file)
	for err == nil {
		var recorded []byte
		var when time.Time
		if when, recorded, err = reader.Next(); bytes.Equal(recorded, seen) && when.Equal(at) {
			return
		}
	}
	t.Errorf("the file does not hold the frame: %v", err)
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	newSwitch(t)
	c, err := StartCapture("br-test", filepath.Join(t.TempDir(), "x.pcap"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Await(ctx, contains("never")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestKeptFramesAreBounded(t *testing.T) {
	c := &Capture{change: make(chan struct{})}
	for i := range maxKept + 10 {
		c.keep([]byte{byte(i)})
	}
	if len(c.kept) > maxKept || !bytes.Equal(c.kept[len(c.kept)-1], []byte{byte((maxKept + 9) & 0xff)}) {
		t.Errorf("%d frames are kept", len(c.kept))
	}
}

func TestSwitchHasItsAddress(t *testing.T) {
	newSwitch(t)
	bridge, err := net.InterfaceByName("br-test")
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := bridge.Addrs()
	if err != nil || len(addresses) == 0 || addresses[0].String() != address.String() {
		t.Errorf("addresses %v, %v", addresses, err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	long := strings.Repeat("b", maxInterfaceName+1)
	if _, err := NewSwitch(long, sender, address); err == nil {
		t.Error("a long bridge name was accepted")
	}
	s := newSwitch(t, "tap0")
	for _, name := range []string{"", long, "tap0"} {
		if err := s.AddTap(name); err == nil {
			t.Errorf("the tap %q was accepted", name)
		}
	}
	if _, err := OpenPort("nothing0"); err == nil {
		t.Error("a missing device was opened")
	}
	if _, err := StartCapture("nothing0", filepath.Join(t.TempDir(), "x"), time.Now); err == nil {
		t.Error("a missing device is captured")
	}
}
