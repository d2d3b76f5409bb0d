package signals

import (
	"context"
	"net/netip"
	"time"

	"github.com/siderolabs/siderolink/api/events"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"ingot.dev/ingot/pxe-server/limits"
)

// Limits of the port for events. A Talos sends some 200 while it starts, all that it has at once when it gets through; what it could not send, it sends again.
const (
	// maxEvent bounds one event, in bytes; the longest names services and conditions.
	maxEvent             = 64 << 10
	eventsPerSource      = 20 // per second
	eventsPerSourceBurst = 1000
	eventsInAll          = 1000
	eventsInAllBurst     = 5000
	// quiet is how long a connection may say nothing; a Talos opens another when it has something to say.
	quiet = time.Hour
)

// sink is the service that Talos sends its events to.
type sink struct {
	events.UnimplementedEventSinkServiceServer
	r       *Receiver
	sources *limits.Buckets[netip.Prefix]
	all     *rate.Limiter
}

// Events is the server of the port for events.
func (r *Receiver) Events() *grpc.Server {
	s := &sink{
		r: r, all: rate.NewLimiter(eventsInAll, eventsInAllBurst),
		sources: limits.NewBuckets[netip.Prefix](limits.Rate{PerSecond: eventsPerSource, Burst: eventsPerSourceBurst}, maxSpeakers, r.cfg.Now),
	}
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxEvent), grpc.MaxHeaderListSize(8<<10), grpc.MaxConcurrentStreams(4), grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: quiet, Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.InTapHandle(s.admit), // by the headers, before a byte of a message is kept
	)
	events.RegisterEventSinkServiceServer(g, s)
	return g
}

// admit refuses calls beyond the limits, and those that are for another service.
func (s *sink) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	from := source(ctx)
	if info.FullMethodName != events.EventSinkService_Publish_FullMethodName {
		return nil, status.Error(codes.Unimplemented, "this port takes events of Talos")
	}
	if !s.sources.Allow(limits.Source(from)) || !s.all.AllowN(s.r.cfg.Now(), 1) {
		s.r.drop(&s.r.refused, "too many events", from)
		return nil, status.Error(codes.ResourceExhausted, "too many events: try again")
	}
	return ctx, nil
}

// Publish hears one event. A machine that is not known yet is told to try again: it becomes known when it fetches its config.
func (s *sink) Publish(ctx context.Context, request *events.EventRequest) (*events.EventResponse, error) {
	from := source(ctx)
	speaker, ok := s.r.cfg.Whose(ctx, from)
	if !ok {
		s.r.drop(&s.r.unknown, "no server of ours is known at its address", from)
		return nil, status.Error(codes.Unavailable, "no server is known at this address: try again")
	}
	s.r.Event(speaker, from, request.GetData())
	return &events.EventResponse{}, nil
}

// source is the address of who calls.
func source(ctx context.Context) netip.Addr {
	if p, ok := peer.FromContext(ctx); ok {
		return limits.AddrOf(p.Addr.String())
	}
	return netip.IPv4Unspecified()
}
