package session

import (
	"context"
	"errors"
	"fmt"
	"sync"

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

// conversation is what belongs to one connection.
type conversation struct {
	*Session
	client protocol.AgentClient
	events <-chan event
	// heard closes with the first directive.
	heard chan struct{}
	// waits is the directive that has to wait until the running wipe has ended. It ends with the connection: the server says it again.
	waits *protocol.Directive
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
	client := protocol.NewAgentClient(conn)
	if err := s.first(ctx, client); err != nil {
		cancel()
		return nil, err
	}
	events, err := watch(ctx, client)
	if err != nil {
		cancel()
		return nil, err
	}
	c := &conversation{Session: s, client: client, events: events, heard: make(chan struct{})}
	var telling sync.WaitGroup
	telling.Go(func() { s.tell(ctx, client, c.heard) })
	defer telling.Wait()
	defer cancel()
	return c.follow(ctx)
}

// first reports the inventory unless the controller has it, or disks are being wiped: then the receipt goes first. What is there
// already makes a waiting change void.
func (s *Session) first(ctx context.Context, client protocol.AgentClient) error {
	if s.reported || s.ledger.unsettled() {
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

func (c *conversation) follow(ctx context.Context) (*Leave, error) {
	renewal := c.After(c.id.untilRenewal(c.Now()))
	for {
		select {
		case e := <-c.events:
			if leave, err := c.hear(ctx, e); leave != nil || err != nil {
				return leave, err
			}
		case <-c.changed():
			if err := c.report(ctx, c.client); err != nil {
				return nil, err
			}
		case <-c.ledger.free:
			if leave, err := c.resume(ctx); leave != nil || err != nil {
				return leave, err
			}
		case <-renewal:
			// An error ends the connection; the next one finds either a certificate that still lives and tries again, or enrols.
			return nil, c.renew(ctx, c.client)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// changed is what asks for a report; nothing while disks are being wiped, since what they show then says nothing.
func (s *Session) changed() <-chan struct{} {
	if s.ledger.unsettled() {
		return nil
	}
	return s.Changed
}

// resume goes on after a wipe: what the server wanted meanwhile, then the report that was held back.
func (c *conversation) resume(ctx context.Context) (*Leave, error) {
	if d := c.waits; d != nil {
		c.waits = nil
		return c.obey(ctx, d)
	}
	return nil, c.first(ctx, c.client)
}

// hear takes what the stream brings. The latest directive is the one that counts.
func (c *conversation) hear(ctx context.Context, e event) (*Leave, error) {
	if e.err != nil {
		return nil, fmt.Errorf("%w: %w", errEnded, e.err)
	}
	c.backoff.reset()
	c.waits = nil
	leave, err := c.obey(ctx, e.directive)
	select {
	case <-c.heard:
	default:
		close(c.heard)
	}
	return leave, err
}

// obey does one directive. One that this agent does not know is waited out: a newer controller may speak to an older agent.
// Nothing that the server says ends a wipe that has begun: an end of this boot waits for the wipe and its receipt.
func (c *conversation) obey(ctx context.Context, d *protocol.Directive) (*Leave, error) {
	var leave *Leave
	switch k := d.GetKind().(type) {
	case *protocol.Directive_Wait:
		c.Log.Info("waiting: "+k.Wait.GetMessage(), "reason", k.Wait.GetReason())
	case *protocol.Directive_Wipe:
		if c.wipe(k.Wipe) {
			c.waits = d
		}
	case *protocol.Directive_BmcAccount:
		return nil, c.account(ctx, d)
	case *protocol.Directive_Leave:
		leave = &Leave{Reason: k.Leave.GetReason(), Message: k.Leave.GetMessage()}
	case *protocol.Directive_Restart:
		leave = &Leave{Reason: k.Restart.GetReason(), Message: k.Restart.GetMessage()}
	case *protocol.Directive_PowerOff:
		leave = &Leave{Reason: k.PowerOff.GetReason(), Message: k.PowerOff.GetMessage(), PowerOff: true}
	default:
		c.Log.Warn("the server wants something that this agent does not know; waiting")
	}
	if leave == nil {
		return nil, nil
	}
	if !c.ledger.close() {
		c.Log.Warn("the server wants this machine to "+leave.verb()+"; a wipe runs, so it does that afterwards", "reason", leave.Reason)
		c.waits = d
		return nil, nil
	}
	c.Log.Info("the server wants this machine to "+leave.verb()+": "+leave.Message, "reason", leave.Reason)
	if r := d.GetRestart(); r != nil {
		return c.acknowledge(ctx, r, leave)
	}
	return leave, nil
}

// acknowledge says that the machine restarts from the network, and lets it do so once the server has answered: only then that boot is awaited. What the
// server refuses is waited out; after any other trouble it says its order again over the next connection.
func (c *conversation) acknowledge(ctx context.Context, r *protocol.Restart, leave *Leave) (*Leave, error) {
	c.Log.Info("for the next boot: " + c.NetworkNext(ctx))
	err := c.call(ctx, func(ctx context.Context) error {
		_, err := c.client.AcknowledgeRestart(ctx, &protocol.AcknowledgeRestartRequest{BootId: r.GetBootId()})
		return err
	})
	switch {
	case err == nil:
		return leave, nil
	case final(err):
		c.Log.Warn("the server takes its order to restart back; waiting", "error", plain(err))
		return nil, nil
	}
	return nil, fmt.Errorf("acknowledging the restart: %w", err)
}
