package agentserver

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
)

// Codes by what the agent shall do: give up on what it sent, wait for a person, enrol again, slow down, or try again.
const (
	codeInvalid         = codes.InvalidArgument
	codeDenied          = codes.PermissionDenied
	codeUnauthenticated = codes.Unauthenticated
	codeConflict        = codes.FailedPrecondition
	codeExhausted       = codes.ResourceExhausted
	codeUnavailable     = codes.Unavailable
)

// refuse is an error for the agent's console. A reason of Ingot comes first, so that the agent can tell refusals apart.
func refuse(code codes.Code, reason, message string) error {
	if reason != "" {
		message = reason + ": " + message
	}
	return status.Error(code, message)
}

// refusals are the desk's, as the agent is told them.
var refusals = []struct {
	err    error
	code   codes.Code
	reason string
	advice string
}{
	{desk.ErrGone, codeUnauthenticated, "", "enrol again"},
	{desk.ErrNotBelieved, codeUnauthenticated, "", "enrol again; an accepted machine is let in by a boot that Ingot started"},
	{desk.ErrForeign, codeDenied, reasons.UnmanagedHere, "its own installation must hand it over"},
	{desk.ErrNotExpected, codeDenied, reasons.Accepted, "Ingot starts a boot of its own when one is needed, and `ingot power cycle` asks for one"},
	{desk.ErrVoided, codeConflict, reasons.IdentityConflict, "Ingot starts another boot"},
	{desk.ErrUnknownTask, codeConflict, "", "drop it"},
}

// answer turns the desk's error into one for the agent, and logs it. nil stays nil.
func (s *Server) answer(ctx context.Context, method, server string, err error) error {
	if err == nil {
		return nil
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			refused := refuse(r.code, r.reason, server+": "+r.err.Error()+"; "+r.advice)
			s.audit(method, sourceOf(ctx), refused)
			return refused
		}
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return s.internal("looking after "+server, err)
}
