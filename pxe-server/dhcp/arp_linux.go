package dhcp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/packet"
)

// arp probes addresses as RFC 5227 2.1.1 does: a request from 0.0.0.0 that changes nobody's cache. Anyone who sends ARP
// with the address as its own, holds it. The waits are shorter than there (three probes within a second and more), since
// firmware repeats its DISCOVER after a second and then asks for less and less.
type arp struct {
	conn *packet.Conn
	link *net.Interface
	done chan struct{}

	mu      sync.Mutex
	waiting map[netip.Addr][]chan net.HardwareAddr
	told    func(netip.Addr, net.HardwareAddr)
}

const (
	etherARP  = 0x0806
	arpProbes = 2
	arpWait   = 200 * time.Millisecond
)

func newARP(link *net.Interface) (*arp, error) {
	c, err := packet.Listen(link, packet.Datagram, etherARP, nil)
	if err != nil {
		return nil, fmt.Errorf("opening an ARP socket on %s: %w; run as root or with CAP_NET_RAW", link.Name, err)
	}
	a := &arp{conn: c, link: link, done: make(chan struct{}), waiting: map[netip.Addr][]chan net.HardwareAddr{}}
	go a.listen()
	return a, nil
}

func (a *arp) listen() {
	defer close(a.done)
	b := make([]byte, 128)
	for {
		n, _, err := a.conn.ReadFrom(b)
		if err != nil {
			return
		}
		if ip, hw, ok := arpSender(b[:n]); ok {
			a.answer(ip, hw)
		}
	}
}

// arpSender reads who sends an ARP packet for IPv4 over Ethernet (RFC 826). A probe has no sender address.
func arpSender(b []byte) (ip netip.Addr, hw net.HardwareAddr, ok bool) {
	if len(b) < 28 || string(b[:6]) != "\x00\x01\x08\x00\x06\x04" {
		return ip, nil, false
	}
	ip = toAddr(b[14:18])
	return ip, net.HardwareAddr(append([]byte(nil), b[8:14]...)), ip.IsValid()
}

func arpProbe(from net.HardwareAddr, target netip.Addr) []byte {
	b := make([]byte, 28)
	copy(b, "\x00\x01\x08\x00\x06\x04")
	binary.BigEndian.PutUint16(b[6:], 1)
	copy(b[8:], from)
	copy(b[24:], target.AsSlice())
	return b
}

// tell has f called with whatever address anybody is heard to use.
func (a *arp) tell(f func(netip.Addr, net.HardwareAddr)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = f
}

func (a *arp) answer(ip netip.Addr, hw net.HardwareAddr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told != nil {
		a.told(ip, hw)
	}
	for _, c := range a.waiting[ip] {
		select {
		case c <- hw:
		default:
		}
	}
}

// Probe is Prober's.
func (a *arp) Probe(stop <-chan struct{}, ip netip.Addr) (net.HardwareAddr, error) {
	heard := make(chan net.HardwareAddr, 1)
	a.wait(ip, heard)
	defer a.unwait(ip, heard)
	again := time.NewTicker(arpWait)
	defer again.Stop()
	for range arpProbes {
		to := &packet.Addr{HardwareAddr: net.HardwareAddr{255, 255, 255, 255, 255, 255}}
		if _, err := a.conn.WriteTo(arpProbe(a.link.HardwareAddr, ip), to); err != nil {
			return nil, fmt.Errorf("sending an ARP probe: %w", err)
		}
		select {
		case hw := <-heard:
			return hw, nil
		case <-stop:
			return nil, nil
		case <-again.C:
		}
	}
	return nil, nil
}

func (a *arp) wait(ip netip.Addr, c chan net.HardwareAddr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[ip] = append(a.waiting[ip], c)
}

func (a *arp) unwait(ip netip.Addr, c chan net.HardwareAddr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.waiting[ip][:0]
	for _, o := range a.waiting[ip] {
		if o != c {
			kept = append(kept, o)
		}
	}
	if a.waiting[ip] = kept; len(kept) == 0 {
		delete(a.waiting, ip)
	}
}

func (a *arp) close() error {
	err := a.conn.Close()
	<-a.done
	return err
}
