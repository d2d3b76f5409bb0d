package httpboot

import (
	"sync"
	"time"
)

// waitForController is how long machines wait for a controller that cannot be heard, before they get their own disk or no answer: a machine with an
// operating system must come back after a power cut even when the controller does not.
const waitForController = 2 * time.Minute

// patience remembers since when machines wait. It is bounded: beyond max it forgets the one that waits longest.
type patience struct {
	mu    sync.Mutex
	max   int
	now   func() time.Time
	since map[string]time.Time
}

func newPatience(size int, now func() time.Time) *patience {
	return &patience{max: size, now: now, since: map[string]time.Time{}}
}

// over says whether mac waited long enough. A machine that was not heard of for ten times as long starts anew.
func (p *patience) over(mac string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	first, ok := p.since[mac]
	if !ok || now.Sub(first) > 10*waitForController {
		p.forgetOldest()
		p.since[mac] = now
		return false
	}
	return now.Sub(first) >= waitForController
}

func (p *patience) forgetOldest() {
	if len(p.since) < p.max {
		return
	}
	var oldest string
	for mac, at := range p.since {
		if oldest == "" || at.Before(p.since[oldest]) {
			oldest = mac
		}
	}
	delete(p.since, oldest)
}
