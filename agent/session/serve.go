package session

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"ingot.dev/ingot/agent/protocol"
)

// errEnded says that the server closed the stream in order, for instance since it restarts.
var errEnded = errors.New("the server closed the session")

// event is what the stream of directives brings.
type event struct {
	directive *protocol.Directive
	err       error
}

// serve reports the inventory and follows directives over one connection. It ends with a leave, an error, or neither when
// the certificate was renewed.
func (s *Session) serve(ctx context.Context) (*Leave, error) {
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := protocol.NewAgentClient(conn)
	if err := s.first(ctx, client); err != nil {
		return nil, err
	}
	events, err := watch(ctx, client)
	if err != nil {
		return nil, err
	}
	return s.follow(ctx, client, events)
}

// first reports the inventory unless the controller has it. What is there already makes a waiting change void.
func (s *Session) first(ctx context.Context, client protocol.AgentClient) error {
	if s.reported {
		return nil
	}
	select {
	case <-s.Changed:
	default:
	}
	return s.report(ctx, client)
}

// watch reads directives in the background until ctx ends.
func watch(ctx context.Context, client protocol.AgentClient) (<-chan event, error) {
	stream, err := client.Watch(ctx, &protocol.WatchRequest{})
	if err != nil {
		return nil, fmt.Errorf("waiting for directives: %w", err)
	}
	events := make(chan event)
	go receive(ctx, stream, events)
	return events, nil
}

func receive(ctx context.Context, stream grpc.ServerStreamingClient[protocol.Directive], events chan<- event) {
	for {
		d, err := stream.Recv()
		select {
		case events <- event{d, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *Session) follow(ctx context.Context, client protocol.AgentClient, events <-chan event) (*Leave, error) {
	renewal := s.After(s.id.untilRenewal(s.Now()))
	for {
		select {
		case e := <-events:
			if leave, err := s.obey(e); leave != nil || err != nil {
				return leave, err
			}
		case <-s.Changed:
			if err := s.report(ctx, client); err != nil {
				return nil, err
			}
		case <-renewal:
			// An error ends the connection; the next one finds either a certificate that still lives and tries again, or enrols.
			return nil, s.renew(ctx, client)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// obey does one directive. One that this agent does not know is waited out: a newer controller may speak to an older agent.
func (s *Session) obey(e event) (*Leave, error) {
	if e.err != nil {
		return nil, fmt.Errorf("%w: %w", errEnded, e.err)
	}
	s.backoff.reset()
	switch d := e.directive.GetKind().(type) {
	case *protocol.Directive_Wait:
		s.Log.Info("waiting: "+d.Wait.GetMessage(), "reason", d.Wait.GetReason())
	case *protocol.Directive_Leave:
		s.Log.Info("the server wants this machine to restart: "+d.Leave.GetMessage(), "reason", d.Leave.GetReason())
		return &Leave{Reason: d.Leave.GetReason(), Message: d.Leave.GetMessage()}, nil
	default:
		s.Log.Warn("the server wants something that this agent does not know; waiting")
	}
	return nil, nil
}
