package dhcp6

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"ingot.dev/ingot/pxe-server/leases"
)

// lease is an address that a client has or had, so that it gets it again; or one that is set aside.
type lease struct {
	ip    netip.Addr
	key   string // empty: set aside, since a client found somebody else there
	mac   macAddr
	until time.Time
}

// table keeps the leases. It is not safe for concurrent use.
type table struct {
	pool  Range
	own   netip.Addr
	most  int
	byIP  map[netip.Addr]*lease
	byKey map[string]*lease
}

func newTable(cfg Config) *table {
	return &table{pool: cfg.Pool, own: cfg.ServerIP, most: cfg.Limits.Leases, byIP: map[netip.Addr]*lease{}, byKey: map[string]*lease{}}
}

// candidates is how many addresses of the pool are tried for a client whose first one is taken.
const candidates = 64

// choose finds an address for a client: its last one, the one it wishes, or one that its name leads to; invalid when there is none. It changes nothing.
func (t *table) choose(key string, wish []netip.Addr, now time.Time) netip.Addr {
	if l := t.byKey[key]; l != nil {
		return l.ip
	}
	for _, ip := range wish {
		if t.free(ip, key, now) {
			return ip
		}
	}
	if t.pool.IsZero() {
		return netip.Addr{}
	}
	for i := range candidates {
		if ip := t.candidate(key, i); t.free(ip, key, now) {
			return ip
		}
	}
	return netip.Addr{}
}

// candidate is the n-th address that a client's name leads to: the same after a lost lease file, and spread over a pool of any size, as RFC 7217 does for
// addresses that hosts make themselves.
func (t *table) candidate(key string, n int) netip.Addr {
	sum := sha256.Sum256(append([]byte(key), byte(n)))
	offset := binary.BigEndian.Uint64(sum[:])
	if size := lower(t.pool.To) - lower(t.pool.From) + 1; size != 0 { // zero: all 2^64
		offset %= size
	}
	return join(upper(t.pool.From), lower(t.pool.From)+offset)
}

// free says whether the client could get ip now.
func (t *table) free(ip netip.Addr, key string, now time.Time) bool {
	if !t.pool.contains(ip) || ip == t.own || lower(ip) == 0 { // host part zero: the routers' anycast address (RFC 4291 section 2.6.1)
		return false
	}
	l := t.byIP[ip]
	return l == nil || l.key == key || !now.Before(l.until)
}

// holds says whether the client has ip, or had it last.
func (t *table) holds(key string, ip netip.Addr) bool {
	l := t.byKey[key]
	return l != nil && l.ip == ip
}

// give lends ip, which choose named. It is false when there is no room for one more lease.
func (t *table) give(key string, mac macAddr, ip netip.Addr, until, now time.Time) bool {
	if t.byIP[ip] == nil && len(t.byIP) >= t.most {
		t.sweep(now)
		if len(t.byIP) >= t.most {
			return false
		}
	}
	t.forget(t.byIP[ip])
	t.forget(t.byKey[key])
	l := &lease{ip: ip, key: key, mac: mac, until: until}
	t.byIP[ip], t.byKey[key] = l, l
	return true
}

// release ends a lease; the client gets its address again when it comes back before somebody else took it.
func (t *table) release(key string, now time.Time) { t.byKey[key].until = now }

// setAside keeps an address from everybody.
func (t *table) setAside(ip netip.Addr, until time.Time) {
	t.forget(t.byIP[ip])
	t.byIP[ip] = &lease{ip: ip, until: until}
}

func (t *table) forget(l *lease) {
	if l == nil {
		return
	}
	delete(t.byIP, l.ip)
	if t.byKey[l.key] == l {
		delete(t.byKey, l.key)
	}
}

// sweep forgets what has ended.
func (t *table) sweep(now time.Time) {
	for _, l := range t.byIP {
		if !now.Before(l.until) {
			t.forget(l)
		}
	}
}

// restore takes a lease from the file; of a client's several leases the newest must come last. Addresses that the pool no longer has are dropped.
func (t *table) restore(r leases.Record) {
	if t.pool.contains(r.IP) && r.IP != t.own && len(t.byIP) < t.most {
		t.give(r.Client, r.MAC, r.IP, r.Until, r.Until)
	}
}

func (t *table) leases(now time.Time) (all []Lease) {
	for _, l := range t.byIP {
		if l.key != "" && now.Before(l.until) {
			all = append(all, Lease{IP: l.ip, MAC: l.mac.hardware(), Expires: l.until})
		}
	}
	return all
}

func upper(a netip.Addr) uint64 { b := a.As16(); return binary.BigEndian.Uint64(b[:8]) }
func lower(a netip.Addr) uint64 { b := a.As16(); return binary.BigEndian.Uint64(b[8:]) }

func join(high, low uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], high)
	binary.BigEndian.PutUint64(b[8:], low)
	return netip.AddrFrom16(b)
}
