package bootserver

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// WatchView streams the view: the present one first, then one after every change that matters to booting machines.
func (s *Server) WatchView(_ *protocol.WatchViewRequest, stream grpc.ServerStreamingServer[protocol.View]) error {
	own, err := s.scope(stream.Context())
	if err != nil {
		return err
	}
	changed, stop := s.cfg.Changes.Subscribe("")
	defer stop()
	ctx := stream.Context()
	for sent := int64(0); ; {
		begin := s.cfg.Now()
		view, err := s.view(ctx, own)
		took := s.cfg.Now().Sub(begin)
		if err != nil {
			s.cfg.Log.Error(err, "Building the view of a pxe-server")
			return status.Error(codes.Unavailable, "the controller cannot read its servers: try again")
		}
		if view.Revision != sent {
			if err := stream.Send(view); err != nil {
				return err
			}
			sent = view.Revision
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := pause(ctx, gap(took)); err != nil {
			return err
		}
	}
}

// gap is how long a stream waits after a view that took so long to make: while ten thousand servers change all the time, making views of them is a fifth of the work.
func gap(took time.Duration) time.Duration { return min(max(coalesce, 4*took), longestGap) }

// view is the present view of a site. It keeps its revision while nothing changed, and is shared by all streams of that site, so nobody may change it.
func (s *Server) view(ctx context.Context, own scope) (*protocol.View, error) {
	var servers metal.ServerList
	var inventories metal.ServerInventoryList
	var environments metal.EnvironmentList
	// What is listed is only read, so the cache need not copy it.
	if err := s.cfg.Reader.List(ctx, &servers, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing Servers: %w", err)
	}
	if err := s.cfg.Reader.List(ctx, &inventories, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing ServerInventories: %w", err)
	}
	if err := s.cfg.Reader.List(ctx, &environments, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing Environments: %w", err)
	}
	view := &protocol.View{UnknownPolicy: s.cfg.Policy, Agent: s.cfg.Agent, Assets: assets(environments.Items)}
	systems := s.systems(servers.Items, inventories.Items, environments.Items)
	for _, row := range identity.Table(own.of(servers.Items), inventories.Items, s.cfg.Installation) {
		m := message(row)
		m.Os = systems.of(row)
		view.Servers = append(view.Servers, m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last[own]
	view.Revision = last.GetRevision()
	if last != nil && proto.Equal(last, view) {
		return last, nil
	}
	// A clock in it lets the revision grow also when the controller was started anew.
	view.Revision = max(last.GetRevision()+1, s.cfg.Now().UnixMicro())
	s.last[own] = view
	return view, nil
}

func message(r boot.Server) *protocol.Server {
	return &protocol.Server{
		Name: r.Name, Macs: r.MACs, Manufacturer: r.Manufacturer, Serial: r.Serial, Uuid: r.UUID,
		Accepted: r.Accepted, Registered: r.Registered, Target: string(r.Target), BootId: r.BootID,
	}
}

// pause waits, or ends with the stream.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
