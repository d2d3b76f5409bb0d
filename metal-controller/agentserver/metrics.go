package agentserver

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"
)

// counts are what monitors are told of the port. Labels come from fixed lists: nothing that a machine says is one.
type counts struct {
	enrolled, refused *prometheus.CounterVec
}

func newCounts() counts {
	return counts{
		enrolled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metal_agent_enrolments_total", Help: "Enrolments of agents that got a certificate, by trust level: 0 unproven, 1 expected boot.",
		}, []string{"trust"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metal_agent_calls_refused_total", Help: "Calls of agents, and of those who are none, that were refused, by gRPC code.",
		}, []string{"code"}),
	}
}

func (c counts) enrol(level int32) { c.enrolled.WithLabelValues(strconv.Itoa(int(level))).Inc() }
func (c counts) refuse(err error)  { c.refused.WithLabelValues(status.Code(err).String()).Inc() }

// Collectors are the metrics of the port.
func (s *Server) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.counts.enrolled, s.counts.refused}
}
