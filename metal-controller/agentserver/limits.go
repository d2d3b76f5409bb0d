package agentserver

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"
)

// Limits of enrolment. A machine enrols once for a boot; a rack behind one relay shares a source.
const (
	enrolPerSource      = 1  // per second
	enrolPerSourceBurst = 10 // at once
	enrolGlobal         = 50
	enrolGlobalBurst    = 200
	auditPerSecond      = 20
	// maxSources bounds the memory of the limiter; the longest idle source is forgotten first.
	maxSources = 4096
	// watchesPerServer bounds streams of one server: the live one, and one that a lost connection left behind.
	watchesPerServer = 3
)

// limits counts calls by source and in all.
type limits struct {
	now    func() time.Time
	global *rate.Limiter
	lines  *rate.Limiter

	mu      sync.Mutex
	sources map[string]*source
}

// source is one address and when it was last seen.
type source struct {
	limiter *rate.Limiter
	at      time.Time
}

func newLimits(now func() time.Time) *limits {
	return &limits{
		now: now, global: rate.NewLimiter(enrolGlobal, enrolGlobalBurst), lines: rate.NewLimiter(auditPerSecond, auditPerSecond),
		sources: map[string]*source{},
	}
}

// allow says whether the source may enrol now. Its own limit is asked first, so that one source cannot use up everybody's.
func (l *limits) allow(from string) error {
	now := l.now()
	if !l.of(from, now).AllowN(now, 1) {
		return refuse(codeExhausted, "", "too many enrolments from this address: try again in a minute")
	}
	if !l.global.AllowN(now, 1) {
		return refuse(codeExhausted, "", "too many enrolments: try again in a minute")
	}
	return nil
}

func (l *limits) auditLine() bool { return l.lines.AllowN(l.now(), 1) }

func (l *limits) of(from string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[from]
	if s == nil {
		if len(l.sources) >= maxSources {
			l.dropOldest()
		}
		s = &source{limiter: rate.NewLimiter(enrolPerSource, enrolPerSourceBurst)}
		l.sources[from] = s
	}
	s.at = now
	return s.limiter
}

// dropOldest forgets the source that was idle longest. The caller holds the lock.
func (l *limits) dropOldest() {
	oldest := ""
	for name, s := range l.sources {
		if oldest == "" || s.at.Before(l.sources[oldest].at) {
			oldest = name
		}
	}
	delete(l.sources, oldest)
}

// sourceOf is the caller's address: an IPv4 address, or the /64 of an IPv6 address, which is what one host can choose from.
func sourceOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

// counter bounds how many of something exist for each key.
type counter struct {
	limit int
	mu    sync.Mutex
	n     map[string]int
}

func newCounter(limit int) *counter { return &counter{limit: limit, n: map[string]int{}} }

// take adds one, or says that there are enough.
func (c *counter) take(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[key] >= c.limit {
		return false
	}
	c.n[key]++
	return true
}

func (c *counter) give(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[key]--; c.n[key] <= 0 {
		delete(c.n, key)
	}
}
