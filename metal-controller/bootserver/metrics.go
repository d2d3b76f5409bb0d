package bootserver

import "github.com/prometheus/client_golang/prometheus"

// counts are what monitors are told of the port.
type counts struct {
	reports, refused, foreign prometheus.Counter
}

func newCounts() counts {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return counts{
		reports: counter("metal_site_reports_total", "Reports of pxe-servers that were taken."),
		refused: counter("metal_site_calls_refused_total", "Calls at the port for pxe-servers that were refused: without the certificate of a site of this installation."),
		foreign: counter("metal_site_foreign_news_total", "News of a pxe-server about a Server of another site, which were dropped."),
	}
}

// Collectors are the metrics of the port.
func (s *Server) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.counts.reports, s.counts.refused, s.counts.foreign}
}
