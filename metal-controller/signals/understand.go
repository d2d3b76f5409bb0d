package signals

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const (
	// maxWord bounds a word of a machine's within a line of ours, in bytes.
	maxWord = 64
	// maxWaits bounds the conditions that a line names.
	maxWaits = 8
)

// saying is what an event comes to.
type saying struct {
	// stage is one of metal.ToldStages, or empty.
	stage string
	// text is a line for people, or empty. About names what Talos repeats itself about.
	text, about string
	// doubt ends the sentence "The machine says that it …", or is empty.
	doubt string
}

// understand reads an event of Talos v1.13. Those that tell people nothing come to nothing.
func understand(data *anypb.Any) (saying, bool) {
	known := map[string]struct {
		into proto.Message
		say  func(proto.Message) saying
	}{
		"machine.MachineStatusEvent":         {&machine.MachineStatusEvent{}, sayStatus},
		"machine.SequenceEvent":              {&machine.SequenceEvent{}, saySequence},
		"machine.PhaseEvent":                 {&machine.PhaseEvent{}, sayPhase},
		"machine.ServiceStateEvent":          {&machine.ServiceStateEvent{}, sayService},
		"machine.TaskEvent":                  {&machine.TaskEvent{}, sayNothing},
		"machine.AddressEvent":               {&machine.AddressEvent{}, sayNothing},
		"machine.RestartEvent":               {&machine.RestartEvent{}, say(saying{text: "restarts"})},
		"machine.ConfigLoadErrorEvent":       {&machine.ConfigLoadErrorEvent{}, sayConfig("could not load its machine config")},
		"machine.ConfigValidationErrorEvent": {&machine.ConfigValidationErrorEvent{}, sayConfig("does not take its machine config")},
	}
	k, ok := known[string(data.MessageName())]
	if !ok || data.UnmarshalTo(k.into) != nil {
		return saying{}, false
	}
	return k.say(k.into), true
}

func say(s saying) func(proto.Message) saying { return func(proto.Message) saying { return s } }

func sayNothing(proto.Message) saying { return saying{} }

// sayConfig leaves out the error, which may quote the config.
func sayConfig(what string) func(proto.Message) saying {
	return say(saying{stage: metal.StageTalosConfigFailed, text: what, doubt: what})
}

func sayStatus(m proto.Message) saying {
	e, ok := m.(*machine.MachineStatusEvent)
	if !ok {
		return saying{}
	}
	stages := map[machine.MachineStatusEvent_MachineStage]string{
		machine.MachineStatusEvent_MAINTENANCE: metal.StageTalosMaintenance, machine.MachineStatusEvent_INSTALLING: metal.StageTalosInstalling,
		machine.MachineStatusEvent_REBOOTING: metal.StageTalosRebooting, machine.MachineStatusEvent_BOOTING: metal.StageTalosBooting, machine.MachineStatusEvent_RUNNING: metal.StageTalosRunning,
	}
	if e.GetStage() == machine.MachineStatusEvent_UNKNOWN { // before there is any
		return saying{}
	}
	text := "stage " + word(strings.ToLower(e.GetStage().String()))
	var waits []string
	for _, c := range e.GetStatus().GetUnmetConditions() {
		if len(waits) < maxWaits {
			waits = append(waits, word(c.GetName()))
		}
	}
	switch {
	case len(waits) > 0:
		text += ", waits for " + strings.Join(waits, ", ")
	case e.GetStatus().GetReady():
		text += ", ready"
	}
	return saying{stage: stages[e.GetStage()], text: text, about: "stage"}
}

func saySequence(m proto.Message) saying {
	e, ok := m.(*machine.SequenceEvent)
	if !ok {
		return saying{}
	}
	if e.GetError() != nil { // its message may be about the config
		return saying{text: "sequence " + word(e.GetSequence()) + " failed"}
	}
	return saying{text: "sequence " + word(e.GetSequence()) + ": " + word(strings.ToLower(e.GetAction().String()))}
}

func sayPhase(m proto.Message) saying {
	e, ok := m.(*machine.PhaseEvent)
	if !ok || e.GetAction() != machine.PhaseEvent_START {
		return saying{}
	}
	return saying{text: "phase " + word(e.GetPhase())}
}

func sayService(m proto.Message) saying {
	e, ok := m.(*machine.ServiceStateEvent)
	if !ok {
		return saying{}
	}
	about := "service " + word(e.GetService())
	text := about + ": " + word(strings.ToLower(e.GetAction().String()))
	if h := e.GetHealth(); h != nil && !h.GetUnknown() {
		text += map[bool]string{true: ", healthy", false: ", not healthy"}[h.GetHealthy()]
	}
	return saying{text: text, about: about}
}

// word is a name that a machine said, as it may stand within a line.
func word(name string) string {
	var r Redactor
	name = strings.ReplaceAll(r.Line(name), " ", "_")
	return name[:min(len(name), maxWord)]
}

// maxMessage bounds what a line says, in bytes. The kernel's own bound is 1,024; what is longer is not the kernel's, and would cost much to look through.
const maxMessage = 2 << 10

// entry is a line of Talos' kernel log; more is in it.
type entry struct {
	Message string `json:"msg"`
	// Clock is the kernel's time since its start, in microseconds.
	Clock int64 `json:"clock"`
}

// readLine is what a JSON line of Talos' kernel log says, as the kernel prints it: its own time, and the message.
func readLine(raw []byte) (string, bool) {
	e := entry{Clock: -1}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &e) != nil || e.Clock < 0 || len(e.Message) > maxMessage {
		return "", false
	}
	return fmt.Sprintf("[%5d.%06d] %s", e.Clock/1e6, e.Clock%1e6, strings.TrimSpace(e.Message)), true
}
