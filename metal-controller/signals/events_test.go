package signals_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func stage(s machine.MachineStatusEvent_MachineStage, waits ...string) *machine.MachineStatusEvent {
	e := &machine.MachineStatusEvent{Stage: s, Status: &machine.MachineStatusEvent_MachineStatus{Ready: len(waits) == 0}}
	for _, w := range waits {
		e.Status.UnmetConditions = append(e.Status.UnmetConditions, &machine.MachineStatusEvent_MachineStatus_UnmetCondition{Name: w, Reason: "canary"})
	}
	return e
}

// TestEvents: what each event comes to, and that nothing of an error does.
func TestEvents(t *testing.T) {
	const canary = "canary"
	w := newWorld()
	w.knows("127.0.0.2", "rack1-01", "b1")
	c := sender(t, "127.0.0.2", w.serveEvents(t))
	var want []string
	for _, e := range []struct {
		event proto.Message
		want  []string
	}{
		{stage(machine.MachineStatusEvent_BOOTING, "time", "a\nb"), []string{"hint rack1-01 b1 " + metal.StageTalosBooting, "talos rack1-01 stage booting, waits for time, a_b"}},
		{stage(machine.MachineStatusEvent_BOOTING, "time", "a\nb"), []string{"hint rack1-01 b1 " + metal.StageTalosBooting}}, // repeated
		{stage(machine.MachineStatusEvent_INSTALLING), []string{"hint rack1-01 b1 " + metal.StageTalosInstalling, "talos rack1-01 stage installing, ready"}},
		{stage(machine.MachineStatusEvent_MAINTENANCE, "time"), []string{"hint rack1-01 b1 " + metal.StageTalosMaintenance, "talos rack1-01 stage maintenance, waits for time"}},
		{stage(machine.MachineStatusEvent_REBOOTING, "time"), []string{"hint rack1-01 b1 " + metal.StageTalosRebooting, "talos rack1-01 stage rebooting, waits for time"}},
		{stage(machine.MachineStatusEvent_RUNNING), []string{"hint rack1-01 b1 " + metal.StageTalosRunning, "talos rack1-01 stage running, ready"}},
		{stage(machine.MachineStatusEvent_UPGRADING), []string{"talos rack1-01 stage upgrading, ready"}},
		{&machine.SequenceEvent{Sequence: "install", Action: machine.SequenceEvent_START}, []string{"talos rack1-01 sequence install: start"}},
		{&machine.SequenceEvent{Sequence: "install", Error: &common.Error{Message: canary}}, []string{"talos rack1-01 sequence install failed"}},
		{&machine.PhaseEvent{Phase: "config", Action: machine.PhaseEvent_START}, []string{"talos rack1-01 phase config"}},
		{&machine.PhaseEvent{Phase: "config", Action: machine.PhaseEvent_STOP}, nil},
		{&machine.TaskEvent{Task: canary}, nil},
		{&machine.AddressEvent{Hostname: canary}, nil},
		{&machine.ServiceStateEvent{Service: "apid", Action: machine.ServiceStateEvent_RUNNING, Message: canary, Health: &machine.ServiceHealth{Healthy: true, LastMessage: canary}}, []string{"talos rack1-01 service apid: running, healthy"}},
		{&machine.ServiceStateEvent{Service: "etcd", Action: machine.ServiceStateEvent_WAITING}, []string{"talos rack1-01 service etcd: waiting"}},
		{&machine.ServiceStateEvent{Service: "apid", Action: machine.ServiceStateEvent_RUNNING, Health: &machine.ServiceHealth{Healthy: true}}, nil}, // repeated
		{&machine.ServiceStateEvent{Service: "apid", Action: machine.ServiceStateEvent_RUNNING, Health: &machine.ServiceHealth{}}, []string{"talos rack1-01 service apid: running, not healthy"}},
		{stage(machine.MachineStatusEvent_UNKNOWN), nil},
		{&machine.RestartEvent{}, []string{"talos rack1-01 restarts"}},
		{&machine.ConfigLoadErrorEvent{Error: canary}, []string{"hint rack1-01 b1 " + metal.StageTalosConfigFailed, "doubt", "talos rack1-01 could not load its machine config"}},
		{&machine.ConfigValidationErrorEvent{Error: canary}, []string{"hint rack1-01 b1 " + metal.StageTalosConfigFailed, "talos rack1-01 does not take its machine config"}}, // the doubt was told just now
		{&emptypb.Empty{}, nil},
	} {
		if err := publish(t, c, e.event); err != nil {
			t.Fatalf("%T: %v", e.event, err)
		}
		want = append(want, e.want...)
	}
	heard := w.all()
	for i, line := range heard {
		if strings.HasPrefix(line, "doubt rack1-01 The machine at 127.0.0.2 says that it could not load its machine config. Nothing proves that") {
			heard[i] = "doubt"
		}
		if strings.Contains(line, canary) {
			t.Errorf("a machine's own words: %s", line)
		}
	}
	if !slices.Equal(heard, want) {
		t.Errorf("heard\n  %s\nwant\n  %s", strings.Join(heard, "\n  "), strings.Join(want, "\n  "))
	}
	if n := w.Counts(); n.Unreadable != 1 || n.Events != 21 {
		t.Errorf("%+v", n)
	}
}

// TestDoubts: one warning in ten minutes for a server, and a bounded number for all.
func TestDoubts(t *testing.T) {
	w := newWorld()
	doubts := func() (n int) {
		for _, line := range w.all() {
			if strings.HasPrefix(line, "doubt") {
				n++
			}
		}
		return n
	}
	c := sender(t, "127.0.0.2", w.serveEvents(t))
	tell := func(server string) {
		w.knows("127.0.0.2", server, "")
		if err := publish(t, c, &machine.ConfigLoadErrorEvent{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		tell("a")
	}
	tell("b")
	if n := doubts(); n != 2 {
		t.Errorf("%d doubts of two servers", n)
	}
	w.pass(11 * time.Minute)
	tell("a")
	if n := doubts(); n != 3 {
		t.Errorf("%d doubts after a while", n)
	}
	for i := range 100 {
		tell(strings.Repeat("s", i+1))
	}
	if n := doubts(); n > 25 {
		t.Errorf("%d doubts", n)
	}
	for _, line := range w.all() {
		if strings.HasPrefix(line, "hint") {
			t.Errorf("without a boot: %s", line)
		}
	}
}

// TestStrangers: who is not known is told to come again and is heard when it is; other services, long messages and floods are refused.
func TestStrangers(t *testing.T) {
	w := newWorld()
	c := sender(t, "127.0.0.3", w.serveEvents(t))
	if err := publish(t, c, stage(machine.MachineStatusEvent_RUNNING)); status.Code(err) != codes.Unavailable || len(w.all()) != 0 {
		t.Errorf("a stranger: %v, %v", err, w.all())
	}
	w.knows("127.0.0.3", "s", "b1")
	if err := publish(t, c, stage(machine.MachineStatusEvent_RUNNING)); err != nil || len(w.all()) != 2 {
		t.Errorf("control: %v, %v", err, w.all())
	}
	if err := c.Invoke(t.Context(), "/events.EventSinkService/Other", &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("another method: %v", err)
	}
	if err := publish(t, c, &machine.ConfigLoadErrorEvent{Error: strings.Repeat("x", 100<<10)}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a long message: %v", err)
	}
	refused := 0
	for range 1100 {
		if status.Code(publish(t, c, &machine.TaskEvent{})) == codes.ResourceExhausted {
			refused++
		}
	}
	if n := w.Counts(); refused == 0 || n.Refused != int64(refused) || n.Unknown != 1 {
		t.Errorf("%d refused, %+v", refused, n)
	}
	w.pass(time.Minute)
	if err := publish(t, c, &machine.TaskEvent{}); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}
