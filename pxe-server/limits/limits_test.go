package limits

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func TestBucketsRefill(t *testing.T) {
	c := &clock{t: time.Unix(1000, 0)}
	b := NewBuckets[string](Rate{PerSecond: 2, Burst: 3}, 10, c.now)
	for i, step := range []struct {
		wait time.Duration
		key  string
		want bool
	}{
		{0, "a", true},
		{0, "a", true},
		{0, "a", true},
		{0, "a", false},
		{0, "b", true}, // another source is not touched by it
		{400 * time.Millisecond, "a", false},
		{100 * time.Millisecond, "a", true},
		{0, "a", false},
		{-time.Hour, "a", false},
		{time.Hour, "a", false}, // a clock that steps back and forth gives nothing
		{time.Hour, "a", true},
		{0, "a", true},
		{0, "a", true},
		{0, "a", false}, // never more than the burst
	} {
		c.advance(step.wait)
		if got := b.Allow(step.key); got != step.want {
			t.Fatalf("step %d: Allow(%q) = %v, want %v", i, step.key, got, step.want)
		}
	}
}

func TestBucketsForgetTheQuietest(t *testing.T) {
	c := &clock{}
	b := NewBuckets[int](Rate{Burst: 1}, 2, c.now)
	for _, key := range []int{1, 2, 1, 3} { // 2 is the quietest when 3 comes
		b.Allow(key)
	}
	if b.Allow(1) {
		t.Error("source 1 got a new bucket although it was busy")
	}
	if !b.Allow(2) {
		t.Error("source 2 was not forgotten")
	}
	if b.Len() != 2 {
		t.Errorf("Len = %d, want 2", b.Len())
	}
}

func TestBucketsNeverExceedRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{t: time.Unix(0, 0)}
		rate := Rate{PerSecond: rapid.Float64Range(0, 50).Draw(t, "rate"), Burst: rapid.IntRange(0, 20).Draw(t, "burst")}
		b := NewBuckets[int](rate, 4, c.now)
		var spent time.Duration
		granted := 0
		for _, ms := range rapid.SliceOf(rapid.IntRange(0, 500)).Draw(t, "waits") {
			d := time.Duration(ms) * time.Millisecond
			c.advance(d)
			spent += d
			if b.Allow(1) {
				granted++
			}
		}
		if most := float64(rate.Burst) + rate.PerSecond*spent.Seconds() + 1e-6; float64(granted) > most {
			t.Fatalf("granted %d in %v, at most %f allowed", granted, spent, most)
		}
	})
}

func TestBucketsBoundMemory(t *testing.T) {
	c := &clock{}
	b := NewBuckets[int](Rate{Burst: 1}, 100, c.now)
	for i := range 10_000 {
		b.Allow(i)
	}
	if b.Len() != 100 || len(b.byKey) != 100 {
		t.Errorf("remembers %d sources in %d entries, want 100", b.Len(), len(b.byKey))
	}
}

func TestGate(t *testing.T) {
	g := NewGate[string](3, 2)
	leave1, ok1 := g.Enter("a")
	_, ok2 := g.Enter("a")
	_, ok3 := g.Enter("a")
	if !ok1 || !ok2 || ok3 {
		t.Fatalf("source a entered %v %v %v, want true true false", ok1, ok2, ok3)
	}
	_, okB := g.Enter("b")
	_, okC := g.Enter("c")
	if !okB || okC {
		t.Fatalf("b %v, c %v: want true, false (full)", okB, okC)
	}
	if a, d := g.Held("a"), g.Held("d"); a != 2 || d != 0 {
		t.Errorf("a holds %d, d holds %d; want 2, 0", a, d)
	}
	leave1()
	leave1() // a second call frees nothing more
	if g.Busy() != 2 {
		t.Errorf("Busy = %d, want 2", g.Busy())
	}
	if _, ok := g.Enter("c"); !ok {
		t.Error("a freed slot was not given")
	}
}

func TestGateEmptiesItsMemory(t *testing.T) {
	g := NewGate[int](8, 1)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if leave, ok := g.Enter(i); ok {
				leave()
			}
		})
	}
	wg.Wait()
	if g.Busy() != 0 || len(g.held) != 0 {
		t.Errorf("busy %d, held %v; want nothing", g.Busy(), g.held)
	}
}

func TestSource(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1":         "10.0.0.1/32",
		"::ffff:10.0.0.1":  "10.0.0.1/32",
		"2001:db8::1":      "2001:db8::/64",
		"fe80::1234%eth0":  "fe80::/64",
		"2001:db8:0:1::99": "2001:db8:0:1::/64",
	} {
		if got := Source(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("Source(%s) = %s, want %s", in, got, want)
		}
	}
	if Source(netip.Addr{}).IsValid() {
		t.Error("the zero address has a source")
	}
}
