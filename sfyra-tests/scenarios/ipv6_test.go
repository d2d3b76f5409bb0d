//go:build e2e

package scenarios

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/wire"
)

// switch6 is the address of a switch whose network has no IPv4.
var switch6 = netip.MustParsePrefix("fd77::1/64")

// TestIPv6Only: on a network without any IPv4 and without a router a server boots by UEFI HTTP boot and another by UEFI PXE, both over IPv6; their agents enrol at an
// IPv6 address; one is accepted, wiped and Available. What is believed of the network is what went over the switch.
func TestIPv6Only(t *testing.T) {
	http, pxe := plain("h1", 0x71), plain("p1", 0x72)
	http.HTTPBoot, http.IPv6, pxe.IPv6 = true, true, true
	s := newBareSiteOn(t, switch6, http, pxe)
	s.serves = []string{"--interface", s.rack.Bridge(), "--agent-image", os.Getenv("INGOT_AGENT_IMAGE"), "--announce-prefix"}
	s.begin()
	for _, c := range []struct {
		spec                 rack.Spec
		firmware, class, url string
	}{
		{http, "uefi-http", "HTTPClient", "http://[fd77::1]:7480/boot/v1/ipxe/snponly.efi"},
		{pxe, "uefi-pxe", "PXEClient", "tftp://[fd77::1]/snponly.efi"},
	} {
		s.step(c.firmware, func(t *testing.T) {
			ear := s.hearSix(c.spec)
			s.declare(c.spec.Name)
			s.ingot("power", "on", c.spec.Name)
			v := s.awaitServer(c.spec.Name, "it registers", 3*bootLimit, func(v *metal.Server) bool { return discovered(v) && len(v.Status.Addresses) > 0 })
			if len(v.Status.Boots) == 0 || v.Status.Boots[0].Firmware != c.firmware || v.Status.Boots[0].Stages[0].Stage != metal.StageDHCP {
				t.Errorf("the boot's timeline is %+v, want one of %s that begins with DHCP", v.Status.Boots, c.firmware)
			}
			if a := v.Status.Addresses; len(a) != 1 || !switch6.Contains(netip.MustParseAddr(a[0])) {
				t.Errorf("its agent has the addresses %v, want one of %s", a, switch6.Masked())
			}
			ear.check(t, c.class, c.url)
		})
	}
	s.step("Available", func(t *testing.T) {
		s.ingot("accept", "h1", "--yes")
		s.awaitServer("h1", "accepted, it is wiped", wipeLimit, available)
	})
}

// ear6 hears DHCPv6 from and to one machine, on its port of the switch, and IPv4 that others send.
type ear6 struct {
	own  []byte // the machine's MAC
	mu   sync.Mutex
	all  []*dhcpv6.Message
	four int // frames of IPv4 that are not the machine's own
}

func (s *site) hearSix(spec rack.Spec) *ear6 {
	s.t.Helper()
	port, err := wire.OpenPort(s.machine(spec.Name).Taps()[0])
	if err != nil {
		s.t.Fatal(err)
	}
	e, done := &ear6{own: spec.NICs[0].MAC}, make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 64<<10); ; {
			n, err := port.Receive(b)
			if err != nil {
				return
			}
			e.frame(slices.Clone(b[:n]))
		}
	}()
	s.t.Cleanup(func() {
		_ = port.Close()
		<-done
	})
	return e
}

// frame keeps what is UDP over IPv6, without extension headers, between the ports of DHCPv6.
func (e *ear6) frame(b []byte) {
	const ethernet, ip, udp, etherIPv4, etherIPv6, udpProtocol = 14, 40, 8, 0x0800, 0x86dd, 17
	if len(b) < ethernet {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if kind := binary.BigEndian.Uint16(b[12:]); kind == etherIPv4 && !slices.Equal(b[6:12], e.own) {
		e.four++
	} else if kind != etherIPv6 {
		return
	}
	if len(b) < ethernet+ip+udp || b[ethernet+6] != udpProtocol {
		return
	}
	if port := binary.BigEndian.Uint16(b[ethernet+ip+2:]); port != 546 && port != 547 {
		return
	}
	end := ethernet + ip + int(binary.BigEndian.Uint16(b[ethernet+4:]))
	if m, err := dhcpv6.MessageFromBytes(b[ethernet+ip+udp : min(end, len(b))]); err == nil {
		e.all = append(e.all, m)
	}
}

// check wants that firmware of that class asked and was led to that URL, that iPXE was led to our script, that somebody who boots no more, the agent, asked as well, and
// that nobody but the machine's firmware tried IPv4.
func (e *ear6) check(t *testing.T, class, url string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	asked := map[dhcpv6.TransactionID]string{}
	led := map[string]string{}
	for _, m := range e.all {
		t.Log(m.Summary())
		switch {
		case m.MessageType != dhcpv6.MessageTypeReply && m.MessageType != dhcpv6.MessageTypeAdvertise:
			asked[m.TransactionID] = who(m)
		case m.MessageType == dhcpv6.MessageTypeReply:
			led[asked[m.TransactionID]] = m.Options.BootFileURL()
		}
	}
	want := map[string]string{class: url, "iPXE": "http://[fd77::1]:7480/boot/v1/boot.ipxe", "": ""}
	for name, where := range want {
		if got, some := led[name]; !some || got != where {
			t.Errorf("%q was led to %q, %v; want %q", name, got, some, where)
		}
	}
	if len(led) != len(want) || e.four != 0 {
		t.Errorf("those who asked: %q; %d frames of IPv4 came from others", led, e.four)
	}
}

// who is what a client says of itself: iPXE, the class of firmware, or nothing.
func who(m *dhcpv6.Message) string {
	for _, u := range m.Options.UserClasses() {
		return string(u)
	}
	for _, v := range m.Options.VendorClasses() {
		class, _, _ := strings.Cut(string(v.Data[0]), ":")
		return class
	}
	return ""
}
