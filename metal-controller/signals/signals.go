// Package signals hears what Talos machines say of themselves: their events (gRPC without TLS, the event sink of Talos v1.13) and their kernel's log (JSON
// lines over TCP).
//
// It is an adapter (layer 2). Neither way proves who speaks: a machine is known by the address that its machine config was released to, and whoever can
// speak from that address can say anything. So all of it is a hint. Invariants:
//   - What is heard goes to an Ear, and nowhere else: a stage of a fixed list, a line, a doubt of a fixed wording.
//   - A machine's words are redacted before they leave this package, and those about its config are not shown at all: they may quote it.
//   - Everything is bounded: messages, lines, connections, rates, by source and in all. Strangers cost a place for a while, and are counted.
//
// Over TCP only: the source of a datagram can be made up by anybody.
package signals

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/types/known/anypb"

	"ingot.dev/ingot/pxe-server/limits"
)

const (
	// doubtEvery is the least time between two doubts about one server.
	doubtEvery = 10 * time.Minute
	// doubtsPerSecond bounds them for all servers together.
	doubtsPerSecond = 1
	doubtsBurst     = 20
	// maxSpeakers bounds what is remembered of those who spoke.
	maxSpeakers = 4096
	// tellEvery is the least time between two lines in the log about what was dropped.
	tellEvery = time.Minute
)

// Speaker is the machine that an address belongs to.
type Speaker struct {
	Server string
	// Boot is the boot whose timeline its stages go to; empty where there is none.
	Boot string
}

// Ear is told what machines say. Its methods must not block for long.
type Ear interface {
	// Hint is one of metal.ToldStages.
	Hint(s Speaker, stage string)
	// Kernel and Talos are lines, redacted.
	Kernel(server, line string)
	Talos(server, line string)
	// Doubt is a warning for people that holds no word of the machine's.
	Doubt(server, message string)
}

// Config is what the receivers need. All fields are required.
type Config struct {
	// Whose machine speaks from an address; false when it is nobody's that is known.
	Whose func(ctx context.Context, from netip.Addr) (Speaker, bool)
	Ear   Ear
	Now   func() time.Time
	Log   logr.Logger
}

// Counts are how often something happened since the start.
type Counts struct {
	// Events and Lines were heard.
	Events, Lines int64
	// Unknown came from an address that is no server's, Unreadable is not in Talos' form, Refused was beyond a limit.
	Unknown, Unreadable, Refused int64
}

// Receiver hears machines. It is safe for concurrent use.
type Receiver struct {
	cfg    Config
	doubts *limits.Buckets[string]
	all    *rate.Limiter
	tell   *rate.Limiter

	events, lines, unknown, unreadable, refused atomic.Int64

	mu     sync.Mutex
	latest map[string]string // what a server said last of one thing, by its name and that
}

// New hears nothing until its ports are served.
func New(cfg Config) *Receiver {
	return &Receiver{
		cfg: cfg, latest: map[string]string{}, all: rate.NewLimiter(doubtsPerSecond, doubtsBurst), tell: rate.NewLimiter(rate.Every(tellEvery), 1),
		doubts: limits.NewBuckets[string](limits.Rate{PerSecond: 1 / doubtEvery.Seconds(), Burst: 1}, maxSpeakers, cfg.Now),
	}
}

// Counts so far.
func (r *Receiver) Counts() Counts {
	return Counts{Events: r.events.Load(), Lines: r.lines.Load(), Unknown: r.unknown.Load(), Unreadable: r.unreadable.Load(), Refused: r.refused.Load()}
}

// drop counts what is not heard, and tells of it now and then.
func (r *Receiver) drop(counter *atomic.Int64, why string, from netip.Addr) {
	n := counter.Add(1)
	if r.tell.AllowN(r.cfg.Now(), 1) {
		r.cfg.Log.Info("Dropping what a machine says of itself", "why", why, "source", from.String(), "count", n)
	}
}

// Event hears one event of a speaker.
func (r *Receiver) Event(s Speaker, from netip.Addr, data *anypb.Any) {
	said, ok := understand(data)
	if !ok {
		r.drop(&r.unreadable, "it is no event of Talos'", from)
		return
	}
	r.events.Add(1)
	if said.stage != "" && s.Boot != "" {
		r.cfg.Ear.Hint(s, said.stage)
	}
	if said.doubt != "" && r.doubts.Allow(s.Server) && r.all.AllowN(r.cfg.Now(), 1) {
		r.cfg.Ear.Doubt(s.Server, "The machine at "+from.String()+" says that it "+said.doubt+". Nothing proves that, and its own words may quote the config, so they are shown on its console only.")
	}
	if said.text != "" && (said.about == "" || r.isNews(s.Server+" "+said.about, said.text)) {
		r.cfg.Ear.Talos(s.Server, said.text)
	}
}

// isNews says that a server did not say the same about something the last time: Talos repeats that with every change of anything.
func (r *Receiver) isNews(about, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.latest[about] == text {
		return false
	}
	if len(r.latest) >= maxSpeakers {
		clear(r.latest)
	}
	r.latest[about] = text
	return true
}

// Line hears one line of a speaker's kernel log. The redactor is that of its connection.
func (r *Receiver) Line(s Speaker, from netip.Addr, redactor *Redactor, raw []byte) {
	text, ok := readLine(raw)
	if !ok {
		r.drop(&r.unreadable, "it is no line of Talos' kernel log", from)
		return
	}
	r.lines.Add(1)
	r.cfg.Ear.Kernel(s.Server, redactor.Line(text))
}
