package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// DefaultMetricsAddr is where the program pxe-server serves metrics and health.
const DefaultMetricsAddr = "127.0.0.1:7491"

// openHealth listens at once, so that an address that is taken is an error at start. It is nil for no address.
func openHealth(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("opening metrics on %s: %w; choose another --metrics-address", addr, err)
	}
	return l, nil
}

func closeHealth(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// serveHealth answers until ctx ends. Health is the same as for machines (httpboot), and the same on every network.
func (s *server) serveHealth(ctx context.Context) error {
	if s.health == nil {
		return nil
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(&metrics{s: s})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.Handle("GET /healthz", s.segments[0].http)
	mux.Handle("GET /readyz", s.segments[0].http)
	srv := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(s.health); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics: %w", err)
	}
	return nil
}

// What the metrics are called; docs/ports.md lists them.
var (
	connectedDesc = prometheus.NewDesc("ingot_pxe_controller_connected", "1 while the controller is heard, 0 while the site is isolated.", nil, nil)
	heardDesc     = prometheus.NewDesc("ingot_pxe_controller_heard_timestamp_seconds", "When the controller was heard last, in seconds since 1970; 0 for never.", nil, nil)
	serversDesc   = prometheus.NewDesc("ingot_pxe_view_servers", "Servers that the controller told of.", nil, nil)
	waitingDesc   = prometheus.NewDesc("ingot_pxe_boot_events_waiting", "What was seen of boots and not told to the controller yet.", nil, nil)
	droppedDesc   = prometheus.NewDesc("ingot_pxe_boot_events_dropped_total", "What was seen of boots and will not be told, since too much waited.", nil, nil)
)

// metrics reads everything when it is asked.
type metrics struct{ s *server }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, out) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	w := m.s.client.Word()
	events, _ := m.s.events.Waiting()
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	connected, heard := 0.0, 0.0
	if w.Connected {
		connected = 1
	}
	if w.View != nil {
		heard = float64(w.Heard.UnixMilli()) / 1000
	}
	gauge(connectedDesc, connected)
	gauge(heardDesc, heard)
	gauge(serversDesc, float64(len(w.View.GetServers())))
	gauge(waitingDesc, float64(len(events)))
	out <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(m.s.events.Dropped()))
}
