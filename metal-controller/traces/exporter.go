package traces

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Exporter sends spans to a collector, over OTLP by gRPC. It never waits for the collector: what that does not take in time is dropped.
type Exporter struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// FromEnv makes what OpenTelemetry's own environment variables say (OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS, …_CERTIFICATE, OTEL_SERVICE_NAME, …; OpenTelemetry
// specification, "OpenTelemetry Protocol Exporter"); nil when they name no collector.
func FromEnv(ctx context.Context) (*Exporter, error) {
	if cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) == "" {
		return nil, nil
	}
	if p := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "grpc"); p != "grpc" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q, and traces are sent by grpc alone: leave it out, and name the collector's gRPC port (4317 as a rule)", p)
	}
	out, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("setting up traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "ingot")), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("setting up traces: %w", err), out.Shutdown(ctx))
	}
	p := sdk.NewTracerProvider(sdk.WithBatcher(out), sdk.WithIDGenerator(named{}), sdk.WithResource(about))
	return &Exporter{provider: p, tracer: p.Tracer("ingot.dev/ingot/metal-controller/traces")}, nil
}

// Boot tells of one boot. Told twice, by two replicas or after a restart, it is the same trace with the same spans.
func (e *Exporter) Boot(server string, b metal.BootTimeline) {
	spans := Spans(b)
	if len(spans) == 0 {
		return
	}
	ctx, root := e.start(context.Background(), b.ID, spans[0])
	root.SetAttributes(attribute.String("ingot.server", server), attribute.String("ingot.boot.id", b.ID),
		attribute.String("ingot.boot.target", string(b.Target)), attribute.String("ingot.boot.firmware", b.Firmware))
	for _, s := range spans[1:] {
		_, stage := e.start(ctx, b.ID, s)
		stage.End(trace.WithTimestamp(s.End))
	}
	root.End(trace.WithTimestamp(spans[0].End))
}

func (e *Exporter) start(ctx context.Context, bootID string, s Span) (context.Context, trace.Span) {
	return e.tracer.Start(context.WithValue(ctx, nameKey{}, name{bootID, s.Name}), s.Name, trace.WithTimestamp(s.Start))
}

// Close sends what is left, as long as ctx allows.
func (e *Exporter) Close(ctx context.Context) error {
	if err := e.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last traces: %w", err)
	}
	return nil
}

type nameKey struct{}

type name struct{ boot, span string }

// named makes ids of names instead of randomness.
type named struct{}

// NewIDs implements sdk.IDGenerator.
func (g named) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	n, _ := ctx.Value(nameKey{}).(name)
	sum := sha256.Sum256([]byte("boot\x00" + n.boot))
	copy(id[:], sum[:])
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdk.IDGenerator.
func (named) NewSpanID(ctx context.Context, _ trace.TraceID) (span trace.SpanID) {
	n, _ := ctx.Value(nameKey{}).(name)
	sum := sha256.Sum256([]byte("stage\x00" + n.boot + "\x00" + n.span))
	copy(span[:], sum[:])
	return span
}
