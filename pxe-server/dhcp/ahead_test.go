package dhcp

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// TestUnprobed: what is given next is asked for once, and again before the answer is too old; nothing behind relays, and nothing that is taken.
func TestUnprobed(t *testing.T) {
	b := newBench(t)
	first := b.c.unprobed(b.now, 4)
	want := []netip.Addr{ip("10.0.0.3"), ip("10.0.0.77"), ip("10.0.0.2"), ip("10.0.0.250")} // reserved ones, then the first free ones
	slices.SortFunc(first, netip.Addr.Compare)
	slices.SortFunc(want, netip.Addr.Compare)
	if !slices.Equal(first, want) {
		t.Fatalf("%v, not %v", first, want)
	}
	b.holders[ip("10.0.0.2")] = macAddr{9}
	for _, a := range first {
		if b.c.probedAhead(b.now, a, b.holders[a]) != (a == ip("10.0.0.2")) {
			t.Errorf("%v", a)
		}
	}
	if got := b.dora(1); got != ip("10.0.0.250") || b.probed != nil {
		t.Errorf("it got %v after probes of %v", got, b.probed)
	}
	if next := b.c.unprobed(b.now, 4); !slices.Equal(next, []netip.Addr{ip("10.0.0.251"), ip("10.0.0.252")}) {
		t.Errorf("next are %v", next)
	}
	if next := b.c.unprobed(b.now, 4); next != nil {
		t.Errorf("asked again at once: %v", next)
	}
	b.now = b.now.Add(freshTime - aheadMargin + time.Second)
	if next := b.c.unprobed(b.now, 4); len(next) != 4 {
		t.Errorf("before the answers are too old: %v", next)
	}
}

// TestHeard: an address that somebody is heard to use is probed again when a client would get it. Control: one that is not heard of is given at once.
func TestHeard(t *testing.T) {
	b := newBench(t)
	for _, a := range b.c.unprobed(b.now, 4) {
		b.c.probedAhead(b.now, a, macAddr{})
	}
	b.c.heard(ip("10.0.0.2"), macAddr{9})
	b.holders[ip("10.0.0.2")] = macAddr{9}
	if got := b.dora(1); got == ip("10.0.0.2") || !slices.Equal(b.probed, []netip.Addr{ip("10.0.0.2")}) {
		t.Errorf("it got %v after probes of %v", got, b.probed)
	}
	b.probed = nil
	b.c.heard(ip("10.0.0.250"), toMACOf(t, 1)) // its client itself
	if b.dora(1); b.probed != nil {
		t.Errorf("probed %v for who has it", b.probed)
	}
}

func toMACOf(t *testing.T, host int) macAddr {
	mac, ok := toMAC(hostMAC(host))
	if !ok {
		t.Fatal(host)
	}
	return mac
}

// TestLastClientStillThere: an address that its last client uses is not set aside, and not asked for again and again.
func TestLastClientStillThere(t *testing.T) {
	b := newBench(t)
	a := b.dora(1)
	b.now = b.now.Add(2 * time.Hour)
	b.c.subnets[0].sweep(b.now)
	next := b.c.unprobed(b.now, 100)
	if !slices.Contains(next, a) || b.c.probedAhead(b.now, a, toMACOf(t, 1)) {
		t.Errorf("%v of %v", a, next)
	}
	if again := b.c.unprobed(b.now, 100); slices.Contains(again, a) {
		t.Error("asked again at once")
	}
	if got := b.dora(1); got != a {
		t.Errorf("it got %v, not %v", got, a)
	}
}

// TestOfferedAtOnce: who asks later waits for no probe. Control: without probes ahead it does.
func TestOfferedAtOnce(t *testing.T) {
	for ahead, want := range map[int]uint64{100: 0, -1: 1} {
		cfg := testConfig()
		cfg.Limits.Ahead = ahead
		var late atomic.Uint64
		var asked atomic.Bool
		s, w := startOn(t, cfg, func(netip.Addr) (net.HardwareAddr, error) {
			if asked.Load() {
				late.Add(1)
			}
			return nil, nil
		})
		tick := time.NewTicker(time.Millisecond)
		for ahead > 0 && !s.allClear() {
			<-tick.C
		}
		tick.Stop()
		asked.Store(true)
		w.ask(t, msg(discover, 1))
		if got := late.Load(); got != want {
			t.Errorf("%d ahead: %d probes after the question, not %d", ahead, got, want)
		}
	}
}

// allClear says that every address was probed lately.
func (s *Server) allClear() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.core.subnets[0].byIP {
		if !a.isClear(s.cfg.Now()) {
			return false
		}
	}
	return true
}
