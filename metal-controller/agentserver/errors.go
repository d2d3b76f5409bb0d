package agentserver

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
