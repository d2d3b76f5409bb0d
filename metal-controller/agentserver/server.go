// Package agentserver answers the agents of netbooted machines over gRPC.
//
// Layer 3. It is stateless and runs on every replica; what it decides rests on the API and on the certificate that the caller shows.
// Invariants:
//   - Enroll is the only call without a client certificate. It creates at most a Discovered, unproven Server, rate-limited by source and in all,
//     and bounded in number; it links an accepted Server only to the first claimant of the boot that it expects (trust level 1, DESIGN section 4).
//   - Every other call, also one that a later version of the protocol adds, needs a certificate of the agent authority that is in time and that
//     its Server believes; it acts on that Server only.
//   - Everything a machine says is cleaned and bounded before it is looked at.
//   - It permits nothing itself: it renders what the desk says, which asks lifecycle.
package agentserver

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/candidates"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/notify"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/pxe-server/boot"
)

// Limits of the port.
const (
	// maxMessage bounds one message of an agent; an inventory of the largest machine that we know is about 60 KiB.
	maxMessage = 256 << 10
	// handshakeTimeout bounds the time a connection may take to become one.
	handshakeTimeout = 10 * time.Second
	// streamsPerConnection bounds calls at the same time on one connection; an agent uses two.
	streamsPerConnection = 8
	// certificateLifetime of an agent. It renews at half of it.
	certificateLifetime = time.Hour
	// DefaultMaxUnaccepted is how many Servers that nobody accepted may exist before enrolment refuses to create more.
	DefaultMaxUnaccepted = 1000
)

// Events records an event about a Server; setup gives one, tests another.
type Events = desk.Events

// Config is what the server needs. All fields are required unless they say otherwise.
type Config struct {
	// Client reads from the cache and writes; Live reads from the API server itself.
	Client client.Client
	Live   client.Reader
	// Authority signs agents and the listener, whose names are Names.
	Authority    *authority.Authority
	Names        []string
	Installation string
	// Policy says what to do with machines that no Server describes.
	Policy boot.UnknownPolicy
	// MaxUnaccepted Servers; 0 is DefaultMaxUnaccepted.
	MaxUnaccepted int
	Sightings     *sightings.Store
	// Changes signals changed Servers by name.
	Changes *notify.Hub
	Events  Events
	// Disks finds disks that other Servers show too; without a Reader it lists what Client knows.
	Disks disks.Finder
	// Candidates finds the Servers that a machine may be; without a Reader it lists what Client knows.
	Candidates candidates.Finder
	// Accounts holds Ingot's own accounts at BMCs; nil hands none out.
	Accounts desk.Accounts
	// DryRun withholds every grant.
	DryRun bool
	Now    func() time.Time
	// After is the timer behind a task that is to be judged again; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Random io.Reader
	Log    logr.Logger
}

// Server implements the protocol.
type Server struct {
	protocol.UnimplementedAgentServer
	cfg     Config
	desk    *desk.Desk
	limits  *limits
	counts  counts
	creates chan struct{} // held while a Server is created: one at a time in this replica
	watches *counter
}

// New is a server of the protocol.
func New(cfg Config) *Server {
	if cfg.MaxUnaccepted == 0 {
		cfg.MaxUnaccepted = DefaultMaxUnaccepted
	}
	if cfg.After == nil {
		cfg.After = time.After
	}
	if cfg.Candidates.Reader == nil {
		cfg.Candidates.Reader = cfg.Client
	}
	d := &desk.Desk{
		Client: cfg.Client, Live: cfg.Live, Sightings: cfg.Sightings, Events: cfg.Events, Installation: cfg.Installation, Now: cfg.Now,
		Disks: cfg.Disks, Accounts: cfg.Accounts, DryRun: cfg.DryRun,
	}
	return &Server{cfg: cfg, desk: d, limits: newLimits(cfg.Now), counts: newCounts(), creates: make(chan struct{}, 1), watches: newCounter(watchesPerServer)}
}

// Desk is where the agents' calls are judged.
func (s *Server) Desk() *desk.Desk { return s.desk }

// GRPC is the gRPC server with TLS, limits and the guard in front of every call.
func (s *Server) GRPC() *grpc.Server {
	listener := s.cfg.Authority.Listener("ingot-agent-port", s.cfg.Names, s.cfg.Now, s.cfg.Random)
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(listener.TLS())),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(16<<10),
		grpc.MaxConcurrentStreams(streamsPerConnection),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 5 * time.Minute, Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.InTapHandle(s.tap),
		grpc.UnaryInterceptor(s.guardUnary),
		grpc.StreamInterceptor(s.guardStream),
	)
	protocol.RegisterAgentServer(g, s)
	return g
}

// Renew replaces the certificate of a boot by a fresh one for the same Server, boot and key: trust hangs on the key, so another one would be worth
// nothing.
func (s *Server) Renew(ctx context.Context, r *protocol.RenewRequest) (*protocol.RenewResponse, error) {
	who := callerOf(ctx)
	key, fingerprint, err := requestedKey(r.GetCsr())
	if err != nil {
		return nil, err
	}
	if fingerprint != who.Key {
		return nil, refuse(codeInvalid, "", "a certificate is renewed for its own key only")
	}
	der, err := s.sign(key, who.server, who.BootID)
	if err != nil {
		return nil, err
	}
	return &protocol.RenewResponse{Certificate: der, ValidSeconds: int64(certificateLifetime.Seconds())}, nil
}

// internal hides the cause from the caller and logs it.
func (s *Server) internal(doing string, err error) error {
	s.cfg.Log.Error(err, "Answering an agent", "doing", doing)
	return refuse(codeUnavailable, "", fmt.Sprintf("%s did not work; try again", doing))
}
