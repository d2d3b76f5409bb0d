package configserver

import "github.com/prometheus/client_golang/prometheus"

// Outcomes of calls, as the metric has them.
const (
	outcomeReleased = "released" // a machine config left for the first time in its boot
	outcomeSignal   = "signal"   // a system told something new
	outcomeVoided   = "voided"   // the call ended a boot: a second address, or another config
	outcomeRefused  = "refused"  // a true capability that gives nothing now, or no capability at all
	outcomeGuessed  = "guessed"  // a token that is not ours
	outcomeTrouble  = "trouble"  // ours, or the API server's
)

func newCounts() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metal_config_calls_total", Help: "Calls at the ports for machine configs, by what they came to.",
	}, []string{"outcome"})
	for _, o := range []string{outcomeReleased, outcomeSignal, outcomeVoided, outcomeRefused, outcomeGuessed, outcomeTrouble} {
		c.WithLabelValues(o) // an alert needs a series to look at
	}
	return c
}

// Collectors are the metrics of both ports.
func (s *Server) Collectors() []prometheus.Collector { return []prometheus.Collector{s.journal.calls} }
