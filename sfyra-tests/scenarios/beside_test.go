//go:build e2e

package scenarios

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/sfyra-tests/island"
	"ingot.dev/ingot/sfyra-tests/rack/wire"
)

// otherServer is where a DHCP server that is not ours stands on the switch, and what it gives.
var (
	otherServer = netip.MustParsePrefix("192.168.77.2/24")
	otherPool   = "192.168.77.100,192.168.77.150,255.255.255.0,1h"
)

// plugIn puts one more host, with an address, on the switch.
func (s *site) plugIn(address netip.Prefix) island.Host {
	t := s.t
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "other"}, PeerName: "otherfar"}))
	near, err := netlink.LinkByName("other")
	ok(err)
	far, err := netlink.LinkByName("otherfar")
	ok(err)
	bridge, err := netlink.LinkByName(s.rack.Bridge())
	ok(err)
	t.Cleanup(func() { _ = netlink.LinkDel(near) })
	ok(netlink.LinkSetMaster(near, bridge))
	ok(netlink.LinkSetUp(near))
	h := island.NewHost(t)
	ok(netlink.LinkSetNsFd(far, h.FD()))
	h.Do(t, func() {
		a, err := netlink.ParseAddr(address.String())
		ok(err)
		eth, err := netlink.LinkByName("otherfar")
		ok(err)
		ok(netlink.AddrAdd(eth, a))
		ok(netlink.LinkSetUp(eth))
	})
	return h
}

// otherDHCP runs a DHCP server of others, Debian's dnsmasq, on a host of its own. It knows nothing of booting.
func (s *site) otherDHCP() {
	s.t.Helper()
	h := s.plugIn(otherServer)
	log, err := os.Create(filepath.Join(s.dir, "dnsmasq.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=otherfar", "--bind-interfaces", "--user=root", "--pid-file=",
		"--leasefile-ro", "--dhcp-range="+otherPool, "--log-dhcp", "--log-facility=-")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	h.Do(s.t, func() {
		if err := cmd.Start(); err != nil {
			s.t.Errorf("starting the other DHCP server: %v; install it, on Debian with: apt-get install dnsmasq-base", err)
		}
	})
	t := s.t
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			t.Logf("the other DHCP server:\n%s", tail(log.Name(), 4000))
		}
	})
	s.await(bootLimit, "the other DHCP server runs", func() bool { return strings.Contains(tail(log.Name(), 4000), "DHCP, IP range") })
}

// heard is a DHCP message on the switch.
type heard struct {
	from, to netip.AddrPort
	*dhcpv4.DHCPv4
}

// firmware says whether a client's message says that it boots from the network.
func (h heard) firmware() bool {
	return strings.HasPrefix(h.ClassIdentifier(), "PXEClient") || strings.HasPrefix(h.ClassIdentifier(), "HTTPClient")
}

// ear hears all DHCP from and to one machine, on its port of the switch, and when it first connects to the boot server.
type ear struct {
	mu    sync.Mutex
	all   []heard
	began time.Time // the first DHCP message
	asked time.Time // the first connection to the boot server
}

func (s *site) hearDHCP(name string) *ear {
	s.t.Helper()
	port, err := wire.OpenPort(s.machine(name).Taps()[0])
	if err != nil {
		s.t.Fatal(err)
	}
	e, done := &ear{}, make(chan struct{})
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

// frame keeps what is UDP over IPv4 between the ports of DHCP, and the time of the first SYN to the boot server.
func (e *ear) frame(b []byte) {
	const ethernet, ip, udp, etherIPv4, tcpProtocol, udpProtocol, bootPort = 14, 20, 8, 0x0800, 6, 17, 7480
	if len(b) < ethernet+ip+udp || binary.BigEndian.Uint16(b[12:]) != etherIPv4 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b[ethernet+9] == tcpProtocol && binary.BigEndian.Uint16(b[ethernet+ip+2:]) == bootPort && e.asked.IsZero() {
		e.asked = time.Now()
	}
	if b[ethernet+9] != udpProtocol {
		return
	}
	h := heard{from: endpoint(b[ethernet+12:], b[ethernet+ip:]), to: endpoint(b[ethernet+16:], b[ethernet+ip+2:])}
	ours := func(port uint16) bool { return port == 67 || port == 68 || port == 4011 }
	if !ours(h.from.Port()) || !ours(h.to.Port()) {
		return
	}
	var err error
	if h.DHCPv4, err = dhcpv4.FromBytes(b[ethernet+ip+udp:]); err != nil {
		return
	}
	if e.began.IsZero() {
		e.began = time.Now()
	}
	e.all = append(e.all, h)
}

func endpoint(address, port []byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address)), binary.BigEndian.Uint16(port))
}

// those returns what was heard so far and fits.
func (e *ear) those(fits func(heard) bool) (out []heard) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.all {
		if fits(h) {
			out = append(out, h)
		}
	}
	return out
}

// toScript is the time from the first DHCP message to the first connection to the boot server.
func (e *ear) toScript() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked.Sub(e.began)
}

func (h heard) String() string {
	return h.from.String() + " > " + h.to.String() + " " + h.MessageType().String() + " class " + h.ClassIdentifier() + " for " + h.ClientHWAddr.String() + " address " + h.YourIPAddr.String() +
		" file " + h.BootFileNameOption()
}
