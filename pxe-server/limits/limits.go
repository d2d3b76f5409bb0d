// Package limits bounds what one source may ask of a boot service: how often (Buckets) and how much at once (Gate, and
// Listen for connections). The controller's ports use it too.
//
// Layer 2, standard library only: the clock is injected and no goroutine is started. Memory is bounded whatever the
// number of sources: Buckets forgets the source that was quiet for longest, Gate only knows those that hold a slot.
// Both are safe for concurrent use. Forgetting a source gives it a full bucket again; so a flood of made-up sources can
// never lock a true one out, and services put a bucket for the whole interface beside the ones per source.
package limits

import (
	"net/netip"
)

// Rate is a token bucket: Burst requests at once, refilled by PerSecond.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Source returns the unit by which addresses are counted: the address itself for IPv4, the /64 for IPv6, where one host
// owns a whole /64 (RFC 4291 section 2.5.4).
func Source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
