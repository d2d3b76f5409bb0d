// Package dhcp is Ingot's DHCPv4 server for networks on which servers boot.
//
// Layer 2. It stands on the codec of github.com/insomniacslk/dhcp only; it knows neither boot files nor scripts: their
// names come through Config.Boot.
//
// Two parts:
//
//   - The core (core.go, request.go, table.go, reply.go, boot.go, proxy.go, encode.go) decides. It does no I/O and has no clock: it
//     takes the time and one packet, and returns a step: be silent for a reason, probe an address first, or send these
//     bytes there after this lease was saved.
//   - The shell (server.go, socket_linux.go, arp_linux.go, store.go) owns sockets, workers, limits and the lease file,
//     and obeys.
//
// Beside both, watch.go and others_linux.go listen for other DHCP servers; others.go judges what was heard.
//
// Invariants:
//
//   - An ACK leaves only after its lease is on disk (fsync), so no crash makes two clients hold one address.
//   - Nothing is sent to a relay (giaddr) or client address outside the configured subnets.
//   - A reply never exceeds what the client can take (option 57, else 576 bytes with the IP header), and a packet that the
//     codec chokes on is dropped and counted, never fatal.
//   - Memory is bounded by the number of addresses in the pools and by the limits, not by the number of clients.
//   - A client is its identifier (option 61) together with its MAC: machines with the same broken UUID stay apart. An
//     identifier that only repeats the MAC counts as none, so that firmware, iPXE and an OS of one NIC keep one address.
//   - In proxy mode nobody is answered but who says in option 60 that it boots from the network; no answer holds an address.
//   - An offer is a hint, not a promise: the address goes to the first client that requests it. So a flood of DISCOVERs
//     with made-up MACs cannot keep addresses away from a machine that really boots.
package dhcp

import (
	"net"
	"net/netip"
	"time"
)

// Mode is how the server answers.
type Mode int

const (
	// Full gives addresses and boot files.
	Full Mode = iota
	// Proxy names boot files only, to clients that boot from the network, while another DHCP server on the network gives addresses (PXE 2.1: ProxyDHCP).
	Proxy
)

// Event tells that a machine which netboots got its address; in proxy mode, that it was told its boot file or asked another server for an address.
type Event struct {
	// MAC is the client's, lower case with colons.
	MAC  string
	Time time.Time
	// Stage is always DHCP here; other boot services report other stages.
	Stage string
	Arch  Arch
	// Firmware is uefi-pxe, uefi-http, bios-pxe or ipxe.
	Firmware string
	// UUID as option 97 gives it, in the text form of SMBIOS 2.6 and later; empty when absent or malformed.
	UUID string
	// IP is invalid in proxy mode until the machine asks for one.
	IP netip.Addr
}

// Lease is an address in use.
type Lease struct {
	IP      netip.Addr
	MAC     net.HardwareAddr
	Expires time.Time
}

// Prober finds out whether somebody already uses an address.
type Prober interface {
	// Probe asks the link for ip and returns the MAC of who answers, nil when nobody does. It blocks for its own bounded
	// time, at most until stop is closed. An error means that nothing is known.
	Probe(stop <-chan struct{}, ip netip.Addr) (net.HardwareAddr, error)
}
