package agentserver

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"

	"ingot.dev/ingot/agent/protocol"
	bounds "ingot.dev/ingot/pxe-server/limits"
)

// Limits of calls. A machine enrols once for a boot; a rack behind one relay shares a source.
const (
	enrolPerSource      = 1  // per second
	enrolPerSourceBurst = 10 // at once
	enrolGlobal         = 50
	enrolGlobalBurst    = 200
	// A certificate is easy to get (trust level 0), so what one agent may ask is bounded too. It reports, watches and renews a few
	// times in an hour.
	callsPerAgent      = 1
	callsPerAgentBurst = 20
	// A wipe tells its progress every two seconds. Each report costs a read of the API server, so all of them are bounded as well; a progress that is
	// refused is no loss, and a receipt is sent again until it is acknowledged.
	tasksPerAgent      = 1
	tasksPerAgentBurst = 20
	tasksGlobal        = 500
	tasksGlobalBurst   = 2000
	reportsGlobal      = 100
	reportsGlobalBurst = 1000
	auditPerSecond     = 20
	// maxSources bounds the memory of the limiters; the longest idle source is forgotten first.
	maxSources = 4096
	maxAgents  = 16384
	// watchesPerServer bounds streams of one server: the live one, and one that a lost connection left behind.
	watchesPerServer = 3
	// receiving and receivingPerSource bound messages that are on their way, each of up to maxMessage.
	receiving          = 512
	receivingPerSource = 16
)

// limits counts calls by source, by agent and in all.
type limits struct {
	now                           func() time.Time
	global, reports, tasks, lines *rate.Limiter
	sources, agents, working      *bounds.Buckets[string]
	receiving                     *bounds.Gate[string]
}

func newLimits(now func() time.Time) *limits {
	return &limits{
		now: now, global: rate.NewLimiter(enrolGlobal, enrolGlobalBurst), reports: rate.NewLimiter(reportsGlobal, reportsGlobalBurst),
		tasks:     rate.NewLimiter(tasksGlobal, tasksGlobalBurst),
		lines:     rate.NewLimiter(auditPerSecond, auditPerSecond),
		sources:   bounds.NewBuckets[string](bounds.Rate{PerSecond: enrolPerSource, Burst: enrolPerSourceBurst}, maxSources, now),
		agents:    bounds.NewBuckets[string](bounds.Rate{PerSecond: callsPerAgent, Burst: callsPerAgentBurst}, maxAgents, now),
		working:   bounds.NewBuckets[string](bounds.Rate{PerSecond: tasksPerAgent, Burst: tasksPerAgentBurst}, maxAgents, now),
		receiving: bounds.NewGate[string](receiving, receivingPerSource),
	}
}

// allow says whether the source may enrol now. Its own limit is asked first, so that one source cannot use up everybody's.
func (l *limits) allow(from string) error {
	if !l.sources.Allow(from) {
		return refuse(codeExhausted, "", "too many enrolments from this address: try again in a minute")
	}
	if !l.global.AllowN(l.now(), 1) {
		return refuse(codeExhausted, "", "too many enrolments: try again in a minute")
	}
	return nil
}

// allowAgent says whether an agent, a key for a Server, may make a call now: one that holds a dead certificate cannot use up what the live one may ask.
// Reports of tasks have a limit of their own, so that the progress of a wipe
// leaves room for the rest.
func (l *limits) allowAgent(agent, method string) error {
	if method == protocol.Agent_ReportTask_FullMethodName {
		if !l.working.Allow(agent) || !l.tasks.AllowN(l.now(), 1) {
			return refuse(codeExhausted, "", "too many reports of tasks: try again in a few seconds")
		}
		return nil
	}
	if !l.agents.Allow(agent) {
		return refuse(codeExhausted, "", "too many calls of this server's agent: try again in a minute")
	}
	if method == protocol.Agent_ReportInventory_FullMethodName && !l.reports.AllowN(l.now(), 1) {
		return refuse(codeExhausted, "", "too many inventories: try again in a minute")
	}
	return nil
}

func (l *limits) auditLine() bool { return l.lines.AllowN(l.now(), 1) }

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
