package qmp

import (
	"encoding/json"
	"fmt"
)

// maxLine is the longest line that is read from QEMU. Answers of the commands
// that the rack uses stay far below it.
const maxLine = 1 << 20

// Event is something that QEMU reports without being asked.
type Event struct {
	// Name in capitals, as SHUTDOWN or RESET (QEMU QMP reference, "Events").
	Name string
	Data json.RawMessage
}

// CommandError is a command that QEMU refused.
type CommandError struct {
	Command string
	Class   string `json:"class"`
	Desc    string `json:"desc"`
}

// Error names the command and QEMU's words.
func (e *CommandError) Error() string {
	return fmt.Sprintf("qemu refused %s: %s (%s)", e.Command, e.Desc, e.Class)
}

// message is one line from QEMU: a greeting, an event, or an answer.
type message struct {
	Greeting json.RawMessage `json:"QMP"`
	Event    string          `json:"event"`
	Data     json.RawMessage `json:"data"`
	Return   json.RawMessage `json:"return"`
	Error    *CommandError   `json:"error"`
	ID       uint64          `json:"id"`
}

type command struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

// decode reads one line. A line that is none of the known kinds is an error:
// going on after it could pair answers with the wrong commands.
func decode(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("decoding a line from qemu: %w", err)
	}
	if m.Greeting == nil && m.Event == "" && m.Return == nil && m.Error == nil {
		return message{}, fmt.Errorf("decoding a line from qemu: neither greeting, event nor answer")
	}
	return m, nil
}
