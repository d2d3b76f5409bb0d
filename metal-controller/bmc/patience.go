package bmc

import (
	"errors"
	"time"
)

const (
	// firstDelay is the wait after a first failure; it doubles up to lastDelay.
	firstDelay = 10 * time.Second
	lastDelay  = 5 * time.Minute
	// freeRefusals is how often wrong credentials are tried before waiting lockoutWindow between tries: BMCs lock
	// an account after five or so failures within minutes.
	freeRefusals  = 3
	lockoutWindow = 10 * time.Minute
)

// patience decides when a BMC that failed is asked again. It is pure.
type patience struct {
	failures int
	refusals int
	refused  time.Time
}

// note takes the outcome of a contact into account.
func (p *patience) note(err error, now time.Time) {
	if err == nil {
		*p = patience{}
		return
	}
	p.failures++
	if errors.Is(err, ErrUnauthorized) {
		p.refusals++
		p.refused = now
	}
}

// locked is how long no credentials may be sent; 0 when they may. Only new credentials end it earlier.
func (p *patience) locked(now time.Time) time.Duration {
	if p.refusals < freeRefusals {
		return 0
	}
	return max(0, p.refused.Add(lockoutWindow).Sub(now))
}

// delay is the time to the next contact. random is in [0,1) and spreads BMCs that failed together.
func (p *patience) delay(interval time.Duration, now time.Time, random float64) time.Duration {
	if wait := p.locked(now); wait > 0 {
		return wait
	}
	if p.failures == 0 {
		return spread(interval, 0.9, 0.2, random)
	}
	wait := firstDelay
	for i := 1; i < p.failures && wait < lastDelay; i++ {
		wait *= 2
	}
	return spread(min(wait, lastDelay), 1, 0.5, random)
}

// spread gives d times a factor between low and low+width.
func spread(d time.Duration, low, width, random float64) time.Duration {
	return time.Duration(float64(d) * (low + width*random))
}
