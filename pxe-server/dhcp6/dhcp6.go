// Package dhcp6 is Ingot's DHCPv6 server for one link on which servers boot over IPv6 (RFC 8415, RFC 5970).
//
// Layer 2. It stands on the codec of github.com/insomniacslk/dhcp only; it knows neither boot files nor scripts: their names come through Config.Boot.
//
// Two parts:
//
//   - The core (core.go, request.go, table.go, answer.go, boot.go) decides. It does no I/O and has no clock: it takes the time and one packet, and
//     returns a step: be silent for a reason, or send these bytes after these leases were saved.
//   - The shell (server.go, socket_linux.go) owns the socket, workers, limits and the lease file (package leases), and obeys.
//
// Invariants:
//
//   - A Reply leaves only after its leases are on disk (fsync), so no crash makes two clients hold one address.
//   - Answers go to link-local addresses of our link and to addresses of its prefix, port 546, and nowhere else.
//   - An Advertise holds no address: the address goes to the first client that requests it. So a flood of Solicits cannot keep addresses away.
//   - Memory is bounded by the number of leases and by the limits, not by the size of the pool.
//   - A client is its DUID together with the IAID: firmware, iPXE and the agent of one machine may have an address each.
//
// Who gets an address: every client of the link, as with IPv4, since the agent and installed systems need one, too. Who gets a boot file: who says that it
// boots from the network. Relays are not answered. There is no proxy: PXE knows none for iPXE over IPv6.
package dhcp6

import (
	"net"
	"net/netip"
	"time"
)

// Event tells that a machine which netboots got its address.
type Event struct {
	// MAC is the client's, lower case with colons.
	MAC  string
	Time time.Time
	// Stage is always DHCP here; other boot services report other stages.
	Stage string
	// Firmware is uefi-pxe, uefi-http or ipxe.
	Firmware string
	IP       netip.Addr
}

// Lease is an address in use.
type Lease struct {
	IP netip.Addr
	// MAC is all zeros when the client did not show it.
	MAC     net.HardwareAddr
	Expires time.Time
}

type macAddr [6]byte

func (m macAddr) hardware() net.HardwareAddr { return net.HardwareAddr(m[:]) }
func (m macAddr) String() string             { return m.hardware().String() }
