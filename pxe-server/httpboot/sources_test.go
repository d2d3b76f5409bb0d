package httpboot

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// TestSources: one address may ask as often as it likes; a second one ends the boot for both, for as long as it is remembered.
func TestSources(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSources(2, func() time.Time { return now })
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, step := range []struct {
		boot string
		from netip.Addr
		sole bool
	}{
		{"b1", a, true}, {"b1", a, true}, {"b2", b, true}, {"b1", b, false}, {"b1", a, false}, {"b1", b, false}, {"b2", b, true},
	} {
		if got := s.sole(step.boot, step.from); got != step.sole {
			t.Errorf("step %d: %+v got %v", i, step, got)
		}
	}
	now = now.Add(time.Minute)
	s.sole("b2", b)
	s.sole("b3", a) // b1 was quiet for longest
	if len(s.byBoot) != 2 || s.byBoot["b1"] != nil {
		t.Errorf("it remembers %v", s.byBoot)
	}
	now = now.Add(expectedAge + time.Second)
	if !s.sole("b2", a) {
		t.Error("an old boot is remembered for ever")
	}
}

// TestFloodHidesNothing: hints make room for what tells of a second source, and not the other way round; the bound holds for both.
func TestFloodHidesNothing(t *testing.T) {
	e := NewEvents(func() time.Time { return time.Unix(1000, 0) })
	e.contested(asked{mac: "52:54:00:00:00:01"}, boot.Decision{Server: "s1", BootID: "b1"})
	for range maxQueue + 100 {
		e.send(&seen{sent: &protocol.BootEvent{BootId: "hint"}}, nil)
	}
	if len(e.queue) != maxQueue || e.Dropped() != 101 || !e.queue[0].SecondSource {
		t.Errorf("%d events, %d dropped, the first %v", len(e.queue), e.Dropped(), e.queue[0])
	}
	batch := e.take()
	for range maxQueue {
		e.send(&seen{sent: &protocol.BootEvent{BootId: "hint"}}, nil)
	}
	e.putBack(batch)
	if len(e.queue) != maxQueue || !e.queue[0].SecondSource {
		t.Errorf("put back: %d events, the first %v", len(e.queue), e.queue[0])
	}
	for i := range maxQueue + 10 {
		e.contested(asked{}, boot.Decision{BootID: fmt.Sprint("b", i)})
	}
	if len(e.queue) != maxQueue || e.queue[maxQueue-1].BootId != fmt.Sprint("b", maxQueue+9) {
		t.Errorf("%d events, the last %v", len(e.queue), e.queue[len(e.queue)-1])
	}
}

// TestFloodOfOneContest: a neighbour who asks again and again for one boot does not keep the controller from hearing of another: while it was not told
// yet, the same contest is told once.
func TestFloodOfOneContest(t *testing.T) {
	e := NewEvents(time.Now)
	e.contested(asked{}, boot.Decision{Server: "s1", BootID: "b1"})
	for range maxQueue + 10 {
		e.contested(asked{}, boot.Decision{Server: "s2", BootID: "b2"})
	}
	if len(e.queue) != 2 || e.queue[0].BootId != "b1" || e.queue[1].BootId != "b2" || e.Dropped() != 0 {
		t.Errorf("%d events are queued, the first of %s; %d were dropped", len(e.queue), e.queue[0].BootId, e.Dropped())
	}
	if e.take(); len(e.queue) != 0 {
		t.Fatal("the queue is not empty")
	}
	if e.contested(asked{}, boot.Decision{Server: "s2", BootID: "b2"}); len(e.queue) != 1 {
		t.Error("control: a contest after the last one was told is not told")
	}
}
