package agentserver

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Watch streams what the machine shall do: now, after every change of its Server or inventory, and when lifecycle wants to judge again. It ends with
// the connection, the certificate, the Server, or the trust in this boot.
func (s *Server) Watch(_ *protocol.WatchRequest, stream grpc.ServerStreamingServer[protocol.Directive]) error {
	who := callerOf(stream.Context())
	if !s.watches.take(who.server) {
		return refuse(codeExhausted, "", "too many sessions of this server: another machine may use its identity")
	}
	defer s.watches.give(who.server)
	changed, stop := s.cfg.Changes.Subscribe(who.server)
	defer stop()
	defer s.cfg.Sightings.Connected(who.server, who.BootID)()
	ctx, cancel := context.WithTimeout(stream.Context(), who.notAfter.Sub(s.cfg.Now()))
	defer cancel()
	var last *protocol.Directive
	for {
		next, after, err := s.directive(ctx, who)
		switch {
		case ctx.Err() != nil:
			return s.watchEnded(stream.Context())
		case err != nil:
			return err
		case !proto.Equal(last, next):
			if err := stream.Send(next); err != nil {
				return err
			}
			last = next
		}
		select {
		case <-changed:
		case <-s.later(after):
		case <-ctx.Done():
			return s.watchEnded(stream.Context())
		}
	}
}

// later is a timer; one that never fires for 0.
func (s *Server) later(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return s.cfg.After(d)
}

// watchEnded tells the end of the connection from the end of the certificate.
func (s *Server) watchEnded(connection context.Context) error {
	if err := connection.Err(); err != nil {
		return err
	}
	return refuse(codeUnauthenticated, "", "the client certificate ended: connect again with a renewed one")
}

// directive renders what lifecycle decided for the caller, and when it wants to be asked again.
func (s *Server) directive(ctx context.Context, who caller) (*protocol.Directive, time.Duration, error) {
	task, err := s.desk.Task(ctx, who.Caller, who.server)
	if err != nil {
		return nil, 0, s.answer(ctx, protocol.Agent_Watch_FullMethodName, who.server, err)
	}
	if task.Kind == lifecycle.TaskDenied {
		refused := refuse(codeUnauthenticated, task.Reason, task.Message)
		s.audit(protocol.Agent_Watch_FullMethodName, sourceOf(ctx), refused)
		return nil, 0, refused
	}
	if task.Kind == lifecycle.TaskAccount {
		return s.account(ctx, who.server, task)
	}
	return render(task), task.After, nil
}

// render turns a task into a directive. A kind of task that is not known lets the machine wait.
func render(t lifecycle.Task) *protocol.Directive {
	switch t.Kind {
	case lifecycle.TaskLeave:
		return &protocol.Directive{Kind: &protocol.Directive_Leave{Leave: &protocol.Leave{Reason: t.Reason, Message: t.Message}}}
	case lifecycle.TaskRestart:
		return &protocol.Directive{Kind: &protocol.Directive_Restart{Restart: &protocol.Restart{BootId: t.BootID, Reason: t.Reason, Message: t.Message}}}
	case lifecycle.TaskPowerOff:
		return &protocol.Directive{Kind: &protocol.Directive_PowerOff{PowerOff: &protocol.PowerOff{Reason: t.Reason, Message: t.Message}}}
	case lifecycle.TaskWipe:
		return &protocol.Directive{Kind: &protocol.Directive_Wipe{Wipe: wipe(t.Grant)}}
	case lifecycle.TaskWait, lifecycle.TaskDenied, lifecycle.TaskAccount:
	}
	return &protocol.Directive{Kind: &protocol.Directive_Wait{Wait: &protocol.Wait{Reason: t.Reason, Message: t.Message}}}
}

func wipe(g lifecycle.WipeGrant) *protocol.Wipe {
	w := &protocol.Wipe{Id: g.ID(), Generation: g.Generation(), Level: string(g.Level())}
	for _, d := range g.Disks() {
		w.Disks = append(w.Disks, &protocol.WipeDisk{Wwid: d.WWID, Serial: d.Serial})
	}
	return w
}
