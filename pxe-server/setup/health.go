package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
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
	srv := &http.Server{Handler: s.monitor(), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(s.health); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics: %w", err)
	}
	return nil
}

// monitorRoutes are what monitors ask.
var monitorRoutes = map[string]func(*server) http.Handler{
	"GET /metrics": func(s *server) http.Handler {
		registry := prometheus.NewRegistry()
		registry.MustRegister(&metrics{s: s})
		return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	},
	"GET /healthz": func(s *server) http.Handler { return s.segments[0].http },
	"GET /readyz":  func(s *server) http.Handler { return s.segments[0].http },
}

// MonitorRoutes are what the port of DefaultMetricsAddr answers, as METHOD PATH, sorted.
func MonitorRoutes() []string { return slices.Sorted(maps.Keys(monitorRoutes)) }

func (s *server) monitor() http.Handler {
	mux := http.NewServeMux()
	for route, handler := range monitorRoutes {
		mux.Handle(route, handler(s))
	}
	return mux
}
