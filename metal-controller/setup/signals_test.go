package setup_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/siderolink/api/events"
	talos "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/machinelog"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// TestSignals: what comes over the two ports from the address that a server's config left for reaches its log, its timeline and one warning, and changes
// nothing else of it; nothing of another address does.
func TestSignals(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.EventsListen, c.KernelLogListen = "127.0.0.1:0", "127.0.0.1:0" })
	const name = "signals"
	create(t, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}})
	eventually(t, name, func(s *metal.Server) bool { return s.Spec.Record != nil && s.Spec.Record.ManagedBy != nil })
	before := released(t, name, "127.0.0.2")
	kernel := dialFrom(t, "127.0.0.2", c.KernelLogAddr)
	if _, err := io.WriteString(kernel, `{"msg":"Command line: talos.config=https://h/v1/config/signals/b1/canary panic=1","clock":1000000}`+"\n"); err != nil {
		t.Fatal(err)
	}
	for _, e := range []proto.Message{&talos.MachineStatusEvent{Stage: talos.MachineStatusEvent_RUNNING}, &talos.ConfigLoadErrorEvent{Error: "canary"}} {
		if err := publishFrom(t, "127.0.0.2", c.EventsAddr, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := publishFrom(t, "127.0.0.3", c.EventsAddr, &talos.RestartEvent{}); err == nil {
		t.Error("another address is heard")
	}
	lines := keptLines(t, name, 3)
	for _, want := range []string{"kernel [    1.000000] Command line: talos.config=[redacted] panic=1", "talos stage running", "talos could not load its machine config"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not in %q", want, lines)
		}
	}
	note := warningAbout(t, name, reasons.ConfigDoubted)
	if all := note + strings.Join(lines, ""); strings.Contains(all, "canary") || !strings.Contains(note, "Nothing proves that") {
		t.Error(all)
	}
	patch(t, name, `{"metadata":{"annotations":{"test/poke":"1"}}}`) // whatever else wakes the reconciler: a hint does not
	after := eventually(t, name, func(s *metal.Server) bool { return len(s.Status.Boots) > 0 && len(s.Status.Boots[0].Stages) == 2 })
	if !equality.Semantic.DeepEqual(before.Spec, after.Spec) || !equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions) || before.Status.State != after.Status.State {
		t.Errorf("before %+v %+v, after %+v %+v", before.Spec, before.Status, after.Spec, after.Status)
	}
	var stages []string
	for _, s := range after.Status.Boots[0].Stages {
		stages = append(stages, s.Stage)
	}
	if after.Status.Boots[0].ID != "b1" || !slices.Equal(slices.Sorted(slices.Values(stages)), []string{metal.StageTalosConfigFailed, metal.StageTalosRunning}) {
		t.Errorf("%+v", after.Status.Boots)
	}
}

// released records that a machine config left for an address in the boot b1, as the config port does, and gives the Server once that was looked at.
func released(t *testing.T, name, address string) *metal.Server {
	t.Helper()
	scheme, err := setup.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC().Format(time.RFC3339)
	text := fmt.Sprintf(`{"spec":{"record":{"boot":{"id":"b1","phase":"Void","startedAt":%q,"at":%q,"deadline":%q,"config":{"sha256":%q,"source":%q,"at":%q}}}}}`, at, at, at, strings.Repeat("0", 64), address, at)
	if err := w.Patch(t.Context(), &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}, client.RawPatch(types.MergePatchType, []byte(text))); err != nil {
		t.Fatal(err)
	}
	return eventually(t, name, func(s *metal.Server) bool {
		return s.Spec.Record.Boot != nil && s.Status.ObservedGeneration == s.Generation
	})
}

func dialFrom(t *testing.T, source, to string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// publishFrom sends one event as Talos does, from an address of this machine.
func publishFrom(t *testing.T, source, to string, m proto.Message) error {
	t.Helper()
	conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).DialContext(ctx, "tcp", addr)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	_, err = events.NewEventSinkServiceClient(conn).Publish(t.Context(), &events.EventRequest{Data: data})
	return err
}

// keptLines waits until so many lines of a server are kept.
func keptLines(t *testing.T, server string, n int) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := admin(t).Watch(ctx, &corev1.ConfigMapList{}, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{machinelog.Label: server})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		m, ok := e.Object.(*corev1.ConfigMap)
		if !ok {
			continue
		}
		all, err := machinelog.Decode(m.BinaryData[machinelog.Key])
		if err != nil {
			t.Fatal(err)
		}
		lines = nil
		for _, l := range all {
			lines = append(lines, string(l.Source)+" "+l.Text)
		}
		if len(lines) >= n {
			return lines
		}
	}
	t.Fatalf("only %q are kept", lines)
	return nil
}

// warningAbout waits for a warning with a reason about a Server, and gives its words.
func warningAbout(t *testing.T, server, reason string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := admin(t).Watch(ctx, &corev1.EventList{}, client.InNamespace(metav1.NamespaceDefault))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if event, ok := e.Object.(*corev1.Event); ok && event.InvolvedObject.Name == server && event.Reason == reason && event.Type == corev1.EventTypeWarning {
			return event.Message
		}
	}
	t.Fatalf("no event says %s", reason)
	return ""
}

// TestNoSignals: a controller that hears nothing opens no port for it.
func TestNoSignals(t *testing.T) {
	if c := start(t, func(*setup.Config) {}); c.EventsAddr != "" || c.KernelLogAddr != "" {
		t.Errorf("%q, %q", c.EventsAddr, c.KernelLogAddr)
	}
}
