// Package collector is a collector of OpenTelemetry for tests: it keeps what it is sent over OTLP by gRPC.
package collector

import (
	"context"
	"net"
	"sync"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Collector keeps spans.
type Collector struct {
	otlp.UnimplementedTraceServiceServer
	address string

	mu  sync.Mutex
	got []*tracepb.ResourceSpans
}

// Start serves one on the loopback until the test ends.
func Start(t testing.TB) *Collector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{address: l.Addr().String()}
	s := grpc.NewServer()
	otlp.RegisterTraceServiceServer(s, c)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-ended
	})
	return c
}

// Endpoint is what OTEL_EXPORTER_OTLP_ENDPOINT says to reach it.
func (c *Collector) Endpoint() string { return "http://" + c.address }

// Export implements the service.
func (c *Collector) Export(_ context.Context, r *otlp.ExportTraceServiceRequest) (*otlp.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, r.ResourceSpans...)
	return &otlp.ExportTraceServiceResponse{}, nil
}

// Spans are all that came so far, in the order in which they came.
func (c *Collector) Spans() (all []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.got {
		for _, s := range r.ScopeSpans {
			all = append(all, s.Spans...)
		}
	}
	return all
}

// Service is what the first sender calls itself; empty before anything came.
func (c *Collector) Service() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.got {
		for _, a := range r.GetResource().GetAttributes() {
			if a.Key == "service.name" {
				return a.GetValue().GetStringValue()
			}
		}
	}
	return ""
}
