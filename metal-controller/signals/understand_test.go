package signals

import (
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/siderolink/api/events"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// FuzzEvent: whatever comes as an event is understood or not, and comes to a stage of the list and a short line without anything that speaks to a terminal.
func FuzzEvent(f *testing.F) {
	for _, m := range []proto.Message{
		&machine.MachineStatusEvent{Stage: machine.MachineStatusEvent_RUNNING, Status: &machine.MachineStatusEvent_MachineStatus{
			UnmetConditions: []*machine.MachineStatusEvent_MachineStatus_UnmetCondition{{Name: "\x1b[2J", Reason: "y"}},
		}},
		&machine.ServiceStateEvent{Service: strings.Repeat("s", 300), Health: &machine.ServiceHealth{}}, &machine.SequenceEvent{Sequence: "boot"}, &machine.ConfigLoadErrorEvent{Error: "x"},
	} {
		data, err := anypb.New(m)
		if err != nil {
			f.Fatal(err)
		}
		request, err := proto.Marshal(&events.EventRequest{Data: data, Id: "x"})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var request events.EventRequest
		if proto.Unmarshal(raw, &request) != nil {
			return
		}
		said, _ := understand(request.GetData())
		if said.stage != "" && !slices.Contains(metal.ToldStages(), said.stage) {
			t.Errorf("the stage %q", said.stage)
		}
		if len(said.text) > 1000 || strings.ContainsFunc(said.text, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q", said.text)
		}
	})
}

// TestNothing: an event without a payload, as a broken client sends it, is none.
func TestNothing(t *testing.T) {
	if said, ok := understand(nil); ok || said != (saying{}) {
		t.Errorf("%+v", said)
	}
}
