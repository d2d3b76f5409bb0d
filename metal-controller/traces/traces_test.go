package traces

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/collector"
)

var begin = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// boot is one whose stages are a second apart.
func boot(id string, stages ...string) metal.BootTimeline {
	b := metal.BootTimeline{ID: id, Target: metal.BootTargetAgent, Firmware: "uefi-pxe"}
	for i, s := range stages {
		b.Stages = append(b.Stages, metal.BootStage{Stage: s, At: metav1.NewMicroTime(begin.Add(time.Duration(i) * time.Second))})
	}
	return b
}

func TestWait(t *testing.T) {
	for name, c := range map[string]struct {
		b     metal.BootTimeline
		newer bool
		after time.Duration
		want  time.Duration
	}{
		"nothing was seen":             {b: boot("b")},
		"it goes on":                   {b: boot("b", metal.StageDHCP), after: time.Minute, want: 29 * time.Minute},
		"it got nowhere":               {b: boot("b", metal.StageDHCP), after: 30 * time.Minute},
		"another one began":            {b: boot("b", metal.StageDHCP), newer: true},
		"it ended just now":            {b: boot("b", metal.StageRunning), after: time.Second, want: settles - time.Second},
		"it ended":                     {b: boot("b", metal.StageRunning), after: settles},
		"more came after it ended":     {b: boot("b", metal.StageRunning, metal.StageTalosBooting), after: time.Second, want: settles},
		"the clock was turned back":    {b: boot("b", metal.StageRunning), after: -time.Hour, want: settles},
		"it is on its disk, and quiet": {b: boot("b", metal.StageLocalDisk), after: settles},
	} {
		if got := Wait(c.b, c.newer, begin.Add(c.after)); got != c.want {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

// TestBootIsATrace: a real collector's protocol, and its own view of what belongs to what. Told twice it is the same trace; another boot is another one.
func TestBootIsATrace(t *testing.T) {
	c := collector.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.Endpoint())
	e, err := FromEnv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"b1", "b1", "b2", "b3"} {
		stages := []string{metal.StageDHCP, metal.StageScript, metal.StageEnrolled}
		e.Boot("rack1-07", boot(id, stages[:map[string]int{"b1": 3, "b2": 1}[id]]...))
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, s := range c.Spans() {
		told = append(told, fmt.Sprintf("%s %s..%s", s.Name, since(s.StartTimeUnixNano), since(s.EndTimeUnixNano)))
	}
	once := "DHCP 0s..1s, Script 1s..2s, Enrolled 2s..2s, boot 0s..2s"
	if got := strings.Join(told, ", "); got != once+", "+once+", DHCP 0s..0s, boot 0s..0s" {
		t.Errorf("it was told %s", got)
	}
	check(t, c.Spans(), c.Service())
}

func since(nano uint64) time.Duration { return time.Unix(0, int64(nano)).Sub(begin) }

// check looks at the spans of b1, told twice, and of b2.
func check(t *testing.T, spans []*tracepb.Span, service string) {
	t.Helper()
	if service != "ingot" {
		t.Errorf("the service is %q", service)
	}
	root := spans[3]
	for i, s := range spans[:3] {
		again := spans[i+4]
		if string(s.TraceId) != string(root.TraceId) || string(s.ParentSpanId) != string(root.SpanId) || string(s.SpanId) != string(again.SpanId) || string(s.TraceId) != string(again.TraceId) {
			t.Errorf("%s: %v, again %v, of %v", s.Name, s, again, root)
		}
	}
	attributes := ""
	for _, a := range root.Attributes {
		attributes += a.Key + "=" + a.GetValue().GetStringValue() + " "
	}
	if attributes != "ingot.server=rack1-07 ingot.boot.id=b1 ingot.boot.target=Agent ingot.boot.firmware=uefi-pxe " || len(root.ParentSpanId) != 0 {
		t.Errorf("the boot is %v", root)
	}
	if other := spans[9]; string(other.TraceId) == string(root.TraceId) || string(other.SpanId) == string(root.SpanId) {
		t.Errorf("%v and %v are one", other, root)
	}
}

// TestFromEnv: without a collector there is none, and a protocol that is not there is refused with the next step.
func TestFromEnv(t *testing.T) {
	if e, err := FromEnv(t.Context()); e != nil || err != nil {
		t.Errorf("without: %v, %v", e, err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	if _, err := FromEnv(t.Context()); err == nil || !strings.Contains(err.Error(), "4317") {
		t.Errorf("over HTTP: %v", err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	e, err := FromEnv(t.Context())
	if e == nil || err != nil {
		t.Fatalf("control: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
