package setup_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/collector"
)

// TestTraces: the controller tells a collector of the boot that is over, once; not of one that goes on, and not of one that ended before this process began.
func TestTraces(t *testing.T) {
	c := collector.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.Endpoint())
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10") // ms
	_, stop := startUntil(t, nil)
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "traced"}, Spec: metal.ServerSpec{Identity: &metal.Identity{Manufacturer: "M", Serial: "T"}}}
	create(t, s)
	now := time.Now()
	boots := []metal.BootTimeline{
		{ID: "goes-on", Stages: stages(now, metal.StageDHCP)},
		{ID: "is-over", Stages: stages(now, metal.StageDHCP, metal.StageEnrolled)},
		{ID: "long-ago", Stages: stages(now.Add(-time.Hour), metal.StageScript)},
	}
	text, err := json.Marshal(map[string]any{"status": map[string]any{"boots": boots}})
	if err != nil {
		t.Fatal(err)
	}
	if err := admin(t).Status().Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", text)); err != nil {
		t.Fatal(err)
	}
	tick, end := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for len(c.Spans()) < 3 {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("it was told of %v", c.Spans())
		}
	}
	stop() // which sends what is left
	var names []string
	for _, s := range c.Spans() {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "DHCP Enrolled boot" {
		t.Errorf("it was told of %s", got)
	}
}

// stages are a second apart; the last one is now.
func stages(now time.Time, names ...string) (all []metal.BootStage) {
	for i, name := range names {
		all = append(all, metal.BootStage{Stage: name, At: metav1.NewMicroTime(now.Add(time.Duration(i-len(names)+1) * time.Second))})
	}
	return all
}
