// Package bmc sets up users of the machine's BMC from within, by IPMI commands over its system interface.
//
// Layer 2, adapter. Sections are those of the IPMI specification v2.0, revision 1.1, with its errata. Invariants:
//   - A user that is in use is never changed, unless its name is the very one that is to be set up or dropped; those are Ingot's own.
//   - Access of a channel is read and never widened.
//   - What a BMC answers is bounded, and believed only once it was read back.
//   - No error and no log line holds a password.
package bmc

import (
	"context"
	"errors"
	"fmt"
)

// Port carries one command to the BMC and brings its answer: the completion code first.
type Port interface {
	Send(ctx context.Context, netFn, command uint8, data []byte) ([]byte, error)
}

// Network functions and commands (appendix G).
const (
	netApp, netTransport = 0x06, 0x0c

	getChannelAccess = 0x41
	getChannelInfo   = 0x42
	setUserAccess    = 0x43
	getUserAccess    = 0x44
	setUserName      = 0x45
	getUserName      = 0x46
	setUserPassword  = 0x47
	getLANConfig     = 0x02
)

// called are the names of commands, for errors.
var called = map[uint8]string{
	getChannelAccess: "Get Channel Access", getChannelInfo: "Get Channel Info", setUserAccess: "Set User Access", getUserAccess: "Get User Access",
	setUserName: "Set User Name", getUserName: "Get User Name", setUserPassword: "Set User Password", getLANConfig: "Get LAN Configuration Parameters",
}

// CodeError is a completion code other than 00h (5.2).
type CodeError struct{ Command, Code uint8 }

// Error names command and code.
func (e *CodeError) Error() string {
	return fmt.Sprintf("the BMC answers %s with %02Xh", called[e.Command], e.Code)
}

// codeOf is the completion code of an error; 0 when it is none.
func codeOf(err error) uint8 {
	var e *CodeError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// ask sends a command and wants at least so many bytes after the completion code.
func ask(ctx context.Context, p Port, netFn, command uint8, least int, data ...byte) ([]byte, error) {
	answer, err := p.Send(ctx, netFn, command, data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("sending %s: %w", called[command], err)
	case len(answer) == 0:
		return nil, fmt.Errorf("the BMC's answer to %s is empty", called[command])
	case answer[0] != 0:
		return nil, &CodeError{command, answer[0]}
	case len(answer) < 1+least:
		return nil, fmt.Errorf("the BMC's answer to %s has %d bytes, and needs %d", called[command], len(answer)-1, least)
	}
	return answer[1:], nil
}
