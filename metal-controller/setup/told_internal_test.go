package setup

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// TestTellKeepsAlarmsApart: two alarms of one reason are two events, which both can be read; the control, one that is told twice, is one. One that is too long for the API is cut.
func TestTellKeepsAlarmsApart(t *testing.T) {
	api, err := kubernetes.NewForConfig(testapi.Config(t).AdminConfig)
	if err != nil {
		t.Fatal(err)
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: api.EventsV1()})
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broadcaster.Shutdown)
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	recorder := broadcaster.NewRecorder(scheme, "ingot.dev/test")
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "told", UID: "u"}}
	for _, message := range []string{"of boot one", "of boot one", "of boot two", strings.Repeat("long", 500)} {
		tell(recorder, server, true, "TestAlarm", "Observe", message)
	}
	notes := map[string]int{}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := api.EventsV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=TestAlarm"})
		clear(notes)
		for _, e := range list.Items {
			notes[e.Note]++
		}
		return len(notes) == 3, err
	})
	if err != nil || notes["of boot one"] != 1 || notes["of boot two"] != 1 || notes[strings.Repeat("long", 250)+"…"] != 1 {
		t.Errorf("%v; the events are %v", err, notes)
	}
}
