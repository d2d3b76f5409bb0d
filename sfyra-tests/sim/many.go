package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// progressEvery is how often a line tells how far it is.
const progressEvery = 5 * time.Second

// shown bounds the failures that are explained.
const shown = 3

// campaign is many seeds on all cores.
type campaign struct {
	o     options
	cfg   engine.Config
	out   io.Writer
	begun time.Time
	next  atomic.Int64

	mu       sync.Mutex
	done     int
	steps    int
	counts   engine.Counts
	failures []engine.Result
}

// many runs all seeds. A goroutine runs one seed at a time; nothing is shared between seeds.
func many(o options, cfg engine.Config, out io.Writer) bool {
	c := &campaign{o: o, cfg: cfg, out: out, begun: time.Now()}
	stop := make(chan struct{})
	var workers, teller sync.WaitGroup
	for range max(1, o.workers) {
		workers.Go(c.work)
	}
	teller.Go(func() { c.tell(stop) })
	workers.Wait()
	close(stop)
	teller.Wait()
	return c.conclude()
}

func (c *campaign) work() {
	for {
		n := c.next.Add(1) - 1
		if n >= int64(c.o.seeds) {
			return
		}
		c.note(engine.Run(c.o.first+uint64(n), c.cfg))
	}
}

func (c *campaign) note(r engine.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	c.steps += r.Steps
	c.counts.Add(r.Counts)
	if r.Violation != nil {
		c.failures = append(c.failures, r)
		fmt.Fprintf(c.out, "seed %d breaks %s\n", r.Seed, r.Violation)
	}
}

// tell prints a line now and then.
func (c *campaign) tell(stop <-chan struct{}) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			c.mu.Lock()
			fmt.Fprintf(c.out, "%6d of %d seeds, %.0f/s, %d violations\n", c.done, c.o.seeds, c.rate(), len(c.failures))
			c.mu.Unlock()
		}
	}
}

func (c *campaign) rate() float64 { return float64(c.done) / time.Since(c.begun).Seconds() }

// conclude prints what happened and says whether all is well.
func (c *campaign) conclude() bool {
	c.counts.Each(func(name string, n int) { fmt.Fprintf(c.out, "%10d %s\n", n, name) })
	fmt.Fprintf(c.out, "%d seeds in %s, %.1f seeds/s, %d reconciles, %d violations\n", c.done, time.Since(c.begun).Round(100*time.Millisecond), c.rate(), c.steps, len(c.failures))
	ok := len(c.failures) == 0
	slices.SortFunc(c.failures, func(a, b engine.Result) int { return int(a.Seed) - int(b.Seed) })
	for i, r := range c.failures {
		if i < shown && !c.o.full {
			explain(r, false, c.out)
		}
	}
	if missing := c.counts.Missing(); c.done >= enough && c.cfg.Disable == 0 && len(missing) > 0 {
		fmt.Fprintf(c.out, "never happened in %d seeds, and so proved nothing: %s\n", c.done, strings.Join(missing, ", "))
		ok = false
	}
	return ok
}
