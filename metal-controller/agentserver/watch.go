package agentserver

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Watch streams what the machine shall do: now, and after every change of its Server. It ends with the connection, the certificate or the Server.
func (s *Server) Watch(_ *protocol.WatchRequest, stream grpc.ServerStreamingServer[protocol.Directive]) error {
	who := callerOf(stream.Context())
	if !s.watches.take(who.server) {
		return refuse(codeExhausted, "", "too many sessions of this server: another machine may use its identity")
	}
	defer s.watches.give(who.server)
	changed, stop := s.cfg.Changes.Subscribe(who.server)
	defer stop()
	defer s.cfg.Sightings.Connected(who.server, who.bootID)()
	ctx, cancel := context.WithTimeout(stream.Context(), who.notAfter.Sub(s.cfg.Now()))
	defer cancel()
	var last *protocol.Directive
	for {
		next, err := s.directive(ctx, who)
		if err != nil {
			return err
		}
		if !proto.Equal(last, next) {
			if err := stream.Send(next); err != nil {
				return err
			}
			last = next
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s.watchEnded(stream.Context())
		}
	}
}

// watchEnded tells the end of the connection from the end of the certificate.
func (s *Server) watchEnded(connection context.Context) error {
	if err := connection.Err(); err != nil {
		return err
	}
	return refuse(codeUnauthenticated, "", "the client certificate ended: connect again with a renewed one")
}

// directive renders what lifecycle decided for the server.
func (s *Server) directive(ctx context.Context, who caller) (*protocol.Directive, error) {
	var server metal.Server
	err := s.getServer(ctx, who.server, &server)
	switch {
	case apierrors.IsNotFound(err):
		return nil, refuse(codeUnauthenticated, "", "the Server "+who.server+" is gone: enrol again")
	case ctx.Err() != nil:
		return nil, s.watchEnded(ctx)
	case err != nil:
		return nil, s.internal("reading the Server", err)
	}
	return render(&server), nil
}

// render turns the boot target into a directive. A target that is not decided yet, or means nothing to a running agent, lets it wait.
func render(server *metal.Server) *protocol.Directive {
	target := metal.BootTarget("")
	if server.Status.Boot != nil {
		target = server.Status.Boot.Target
	}
	switch {
	case target == metal.BootTargetLocalDisk:
		return leave(reasons.LocalDiskPreferred, "A disk of this machine holds an operating system. "+server.Name+" is registered; the machine restarts from its disk.")
	case target == metal.BootTargetAgent && condition(server, reasons.Registered):
		return wait(reasons.WaitingForAcceptance, "Registered as "+server.Name+". Waiting for an operator to accept it.")
	}
	return wait(reasons.NotRegistered, "Enrolled as "+server.Name+". Waiting for the inventory to be recorded.")
}

func leave(reason, message string) *protocol.Directive {
	return &protocol.Directive{Kind: &protocol.Directive_Leave{Leave: &protocol.Leave{Reason: reason, Message: message}}}
}

func wait(reason, message string) *protocol.Directive {
	return &protocol.Directive{Kind: &protocol.Directive_Wait{Wait: &protocol.Wait{Reason: reason, Message: message}}}
}

// condition says whether a condition of the server is true.
func condition(server *metal.Server, typ string) bool {
	for _, c := range server.Status.Conditions {
		if c.Type == typ {
			return c.Status == "True"
		}
	}
	return false
}

// reportedAt is the time of a report as the API keeps it.
func reportedAt(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }
