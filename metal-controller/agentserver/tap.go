package agentserver

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/tap"

	"ingot.dev/ingot/agent/protocol"
)

const (
	// receiveTime is how long the message of an admitted call may take: 256 KiB at 128 kbit/s.
	receiveTime = 16 * time.Second
	// refuseTime is how long a refused call may stay, see tap.
	refuseTime = 100 * time.Millisecond
)

// admission is what the tap found out about a call.
type admission struct {
	caller  caller
	refused error
	// settle gives back what the message took while it was on its way.
	settle func()
}

// admissionKey finds the admission in a context.
type admissionKey struct{}

// admissionOf is nil for a call that the tap did not see.
func admissionOf(ctx context.Context) *admission {
	a, _ := ctx.Value(admissionKey{}).(*admission)
	return a
}

// arrived says that the message is there.
func (a *admission) arrived() {
	if a != nil {
		a.settle()
	}
}

// tap judges a call by its headers, before a byte of its message is kept: gRPC reads the whole message before it asks an interceptor, and a
// message that never ends stays in memory. It runs in the connection's reader, so it waits for nothing.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	a := &admission{}
	a.caller, a.refused = s.admit(ctx, info.FullMethodName)
	leave := func() {}
	if a.refused == nil {
		var ok bool
		if leave, ok = s.limits.receiving.Enter(sourceOf(ctx)); !ok {
			a.refused, leave = refuse(codeExhausted, "", "too many calls at once from this address: try again"), func() {}
		}
	}
	patience := receiveTime
	if a.refused != nil {
		s.audit(info.FullMethodName, sourceOf(ctx), a.refused)
		// gRPC v1.83 never ends the context of a call that the tap refuses; one with a deadline of the caller's choice would stay in memory
		// until then. So that one goes on for an instant and is refused by the guard.
		if _, deadline := ctx.Deadline(); !deadline {
			return nil, a.refused
		}
		patience = refuseTime
	}
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(patience, cancel)
	a.settle = sync.OnceFunc(func() { late.Stop(); leave() })
	context.AfterFunc(ctx, a.settle) // the call ended, or its message did not come
	return context.WithValue(ctx, admissionKey{}, a), nil
}

// admit lets Enroll through its limits, and everything else through its certificate and the limits of its agent.
func (s *Server) admit(ctx context.Context, method string) (caller, error) {
	if method == protocol.Agent_Enroll_FullMethodName {
		return caller{}, s.limits.allow(sourceOf(ctx))
	}
	c, err := s.authenticate(ctx)
	if err != nil {
		return caller{}, err
	}
	return c, s.limits.allowAgent(c.server+"/"+c.Key, method)
}
