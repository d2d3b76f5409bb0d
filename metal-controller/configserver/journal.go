package configserver

import (
	"log"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/pxe-server/limits"
)

const (
	// linesPerSecond bounds what refusals write into the log.
	linesPerSecond = 20
	// alarmEvery is the least time between two events about refusals of one server.
	alarmEvery = time.Minute
	// alarmsPerSecond bounds them for all servers together.
	alarmsPerSecond = 2
	alarmsBurst     = 50
	// maxLine bounds what net/http has to say.
	maxLine = 300
)

// journal tells people who got what, and who did not. It is never given a token or a byte of a config.
type journal struct {
	log    logr.Logger
	events Events
	now    func() time.Time
	calls  *prometheus.CounterVec
	lines  *rate.Limiter
	all    *rate.Limiter
	// servers had an event lately, by the name of the server and what it was about: guesses of a stranger must not hide a true alarm.
	servers *limits.Buckets[string]
}

func newJournal(l logr.Logger, events Events, now func() time.Time) *journal {
	return &journal{
		log: l, events: events, now: now, calls: newCounts(), lines: rate.NewLimiter(linesPerSecond, linesPerSecond), all: rate.NewLimiter(alarmsPerSecond, alarmsBurst),
		servers: limits.NewBuckets[string](limits.Rate{PerSecond: 1 / alarmEvery.Seconds(), Burst: 1}, maxSources, now),
	}
}

// released is the one line and event of a first release.
func (j *journal) released(c call, r release) {
	j.calls.WithLabelValues(outcomeReleased).Inc()
	j.log.Info("audit", "reason", reasons.ConfigReleased, "server", c.server, "binding", r.binding, "boot", c.id, "sha256", r.config.SHA256(), "source", c.from.String(), "plain", c.plain)
	j.events.Event(c.server, false, reasons.ConfigReleased, "The machine config with the SHA-256 "+r.config.SHA256()+" left for "+c.from.String()+" in the boot "+c.id+".")
}

// heard is the line of a signal that was recorded.
func (j *journal) heard(c call, g lifecycle.Signal) {
	j.calls.WithLabelValues(outcomeSignal).Inc()
	j.log.Info("audit", "reason", "Signal", "phase", g.Phase, "server", c.server, "binding", c.id, "source", c.from.String())
}

// voided tells of a boot that ended by this call.
func (j *journal) voided(c call, reason, message string) {
	j.calls.WithLabelValues(outcomeVoided).Inc()
	j.log.Info("audit", "reason", reason, "server", c.server, "boot", c.id, "source", c.from.String())
	j.events.Event(c.server, true, reason, message)
}

// refused is a line alone.
func (j *journal) refused(c call, why string) {
	j.calls.WithLabelValues(outcomeRefused).Inc()
	j.refusal(c, why)
}

func (j *journal) refusal(c call, why string) {
	if j.lines.AllowN(j.now(), 1) {
		j.log.Info("audit", "reason", reasons.ConfigRefused, "why", why, "server", c.server, "id", c.id, "source", c.from.String(), "plain", c.plain)
	}
}

// guessed tells of a token that is not ours.
func (j *journal) guessed(c call) {
	j.calls.WithLabelValues(outcomeGuessed).Inc()
	j.refusal(c, "the token is wrong")
	j.event(c, "guess", "Somebody at "+c.from.String()+" asked for machine config with a wrong token.")
}

// alarm tells of a true capability that gives nothing now.
func (j *journal) alarm(c call, why string) {
	j.refused(c, why)
	j.event(c, "alarm", "The machine config for the boot "+c.id+" was not given to "+c.from.String()+": "+why+".")
}

func (j *journal) event(c call, about, message string) {
	if j.servers.Allow(c.server+" "+about) && j.all.AllowN(j.now(), 1) {
		j.events.Event(c.server, true, reasons.ConfigRefused, message)
	}
}

// trouble is ours, or the API server's.
func (j *journal) trouble(c call, err error) {
	j.calls.WithLabelValues(outcomeTrouble).Inc()
	if j.lines.AllowN(j.now(), 1) {
		j.log.Error(err, "Answering a machine", "server", c.server, "source", c.from.String())
	}
}

// library lets net/http tell of broken handshakes, a little at a time.
func (j *journal) library() *log.Logger { return log.New(j, "", 0) }

// Write logs one message of net/http.
func (j *journal) Write(line []byte) (int, error) {
	if j.lines.AllowN(j.now(), 1) {
		j.log.V(1).Info("The config port", "message", string(line[:min(len(line), maxLine)]))
	}
	return len(line), nil
}
