// Package bootserver tells pxe-servers what booting machines shall get, and hears what they saw of boots.
//
// Layer 3. It is stateless and runs on every replica. Invariants:
//   - It decides nothing: targets come from the status that lifecycle wrote.
//   - What a pxe-server reports is a hint for timelines and never a proof; it is bounded, and permits nothing. It can end the trust in an expected
//     boot, which costs another boot, and never begin any.
//   - A remote pxe-server shows a certificate of the pxe authority that names its site. Only the in-process client goes without.
//   - It hears of the Servers of its site, and of those whose spec names none; what it tells of others is refused.
package bootserver

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/grpc/test/bufconn"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/bootfiles"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/networks"
	"ingot.dev/ingot/metal-controller/notify"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Limits of the port.
const (
	// maxMessage bounds one report.
	maxMessage = 1 << 20
	// coalesce is the least time between two views on one stream; longestGap is the longest that a view of many servers, which takes long to make, waits.
	coalesce   = 200 * time.Millisecond
	longestGap = 2 * time.Second
	// linesPerSecond bounds what refusals write into the log.
	linesPerSecond = 20
)

// ServerName is the name in the server certificate of every replica, so that pxe-servers need not know addresses in certificates.
const ServerName = "ingot-boot-port"

// Config is what the server needs.
type Config struct {
	// Reader reads Servers, ServerInventories and Environments from the cache.
	Reader       client.Reader
	Authority    *authority.Authority
	Names        []string
	Installation string
	// Policy is register-once, ignore or hold.
	Policy string
	// Agent is what goes on the agent's kernel line.
	Agent *protocol.AgentBoot
	// Links makes the addresses that operating systems fetch their config by.
	Links     capability.Links
	Sightings *sightings.Store
	// Files keeps what sites tell of their boot files.
	Files *bootfiles.Store
	// Networks keeps what sites tell of the other DHCP servers on their networks.
	Networks *networks.Store
	// Void ends an expected boot that more than one address asked for; it does nothing for a boot that is not live, or not that Server's.
	Void func(ctx context.Context, server, bootID string) error
	// Changes signals changed Servers, inventories and Environments.
	Changes *notify.Hub
	Now     func() time.Time
	Random  io.Reader
	Log     logr.Logger
}

// Server implements the protocol.
type Server struct {
	protocol.UnimplementedBootServer
	cfg    Config
	lines  *rate.Limiter // of refusals in the log
	counts counts

	mu   sync.Mutex
	last map[scope]*protocol.View
}

// New is a server of the protocol.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, last: map[scope]*protocol.View{}, counts: newCounts(), lines: rate.NewLimiter(linesPerSecond, linesPerSecond)}
}

// GRPC is the gRPC server for remote pxe-servers.
func (s *Server) GRPC() *grpc.Server {
	listener := s.cfg.Authority.Listener(ServerName, append([]string{ServerName}, s.cfg.Names...), s.cfg.Now, s.cfg.Random)
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(listener.TLS())),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(16<<10),
		grpc.MaxConcurrentStreams(16),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		// By the headers, before a byte of a message is kept: a message of a stranger that never ends would stay in memory.
		grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			return s.guard(ctx, info.FullMethodName)
		}),
	)
	protocol.RegisterBootServer(g, s)
	return g
}

// Local serves the protocol to this process over a pipe in memory, without certificates: there is no wire to protect.
// The returned function ends it.
func (s *Server) Local() (protocol.BootClient, func(), error) {
	pipe := bufconn.Listen(64 << 10)
	g := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	protocol.RegisterBootServer(g, s)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(pipe) // ends with Stop below, and then has nothing to say
	}()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }
	conn, err := grpc.NewClient("passthrough:///in-process", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	stop := func() {
		if conn != nil {
			_ = conn.Close()
		}
		g.Stop()
		<-served
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return protocol.NewBootClient(conn), stop, nil
}

// guard lets certificates of sites in.
func (s *Server) guard(ctx context.Context, method string) (context.Context, error) {
	site, err := s.site(ctx)
	if err == nil {
		s.cfg.Log.V(1).Info("Answering a pxe-server", "method", method, "site", site)
		return ctx, nil
	}
	s.counts.refused.Inc()
	// A flood of refusals must not fill a disk.
	if s.lines.AllowN(s.cfg.Now(), 1) {
		source := ""
		if p, ok := peer.FromContext(ctx); ok {
			source = p.Addr.String()
		}
		s.cfg.Log.Info("Refusing a pxe-server call", "method", method, "source", source, "reason", status.Convert(err).Message())
	}
	return nil, err
}

// site reads the caller's site out of its certificate.
func (s *Server) site(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", status.Error(codes.Unauthenticated, "no connection")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return "", status.Error(codes.Unauthenticated, "no client certificate: issue one with `metal-controller issue-pxe-certificate`")
	}
	leaf := info.State.PeerCertificates[0]
	if err := s.cfg.Authority.Verify(leaf, x509.ExtKeyUsageClientAuth, s.cfg.Now()); err != nil {
		return "", status.Error(codes.Unauthenticated, "the client certificate is not valid: issue one with `metal-controller issue-pxe-certificate`")
	}
	if len(leaf.URIs) == 1 && leaf.URIs[0].Scheme == "ingot" && leaf.URIs[0].Host == s.cfg.Installation {
		if name, ok := strings.CutPrefix(leaf.URIs[0].Path, "/site/"); ok && name != "" && !strings.Contains(name, "/") {
			return name, nil
		}
	}
	return "", status.Error(codes.Unauthenticated, "the client certificate names no site of this installation")
}

// SiteURI is what the certificate of a site's pxe-server says.
func SiteURI(installation, site string) *url.URL {
	return &url.URL{Scheme: "ingot", Host: installation, Path: "/site/" + site}
}
