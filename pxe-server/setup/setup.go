// Package setup wires a pxe-server (layer 4): DHCP, TFTP and HTTP for one interface, and the way to the controller.
//
// The program pxe-server and `ingot up` both call Run; only who answers Config.Controller differs.
package setup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"ingot.dev/ingot/boot-assets/blobs"
	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/pxe-server/tftp"
)

// DefaultHTTPPort is where scripts and boot files are served.
const DefaultHTTPPort = 7480

// Config is what a pxe-server needs.
type Config struct {
	// Interface is the network interface that machines boot through.
	Interface string
	// Address is the IPv4 address to serve on; the interface's first one when unset.
	Address netip.Addr
	// HTTPPort is DefaultHTTPPort when zero.
	HTTPPort int
	DHCP     DHCP
	// StateDir keeps the leases, and the boot files of Environments. It is made when it is missing.
	StateDir string
	// MaxAsset bounds one boot file, AssetBudget all of them, in bytes; zero is blobs' default.
	MaxAsset, AssetBudget int64
	// AgentImage is the folder with the kernel, the initramfs and manifest.json.
	AgentImage string
	// Controller says what machines get and takes what was seen.
	Controller protocol.BootClient

	// Log, Now and Rand may be nil: no logs, the system's clock and randomness. Ready is called once everything is served.
	Log   *slog.Logger
	Now   func() time.Time
	Rand  io.Reader
	Ready func()
}

// DHCP is what machines get besides their boot files.
type DHCP struct {
	// Disabled leaves addresses to somebody else, who then has to name our boot files as well.
	Disabled bool
	// Network holds pools, router, name servers and lease time of the interface's own network. Its prefix comes from the interface.
	Network dhcp.Subnet
	// Relayed are networks behind DHCP relays.
	Relayed      []dhcp.Subnet
	Reservations []dhcp.Reservation
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Ready == nil {
		c.Ready = func() {}
	}
	if c.HTTPPort == 0 {
		c.HTTPPort = DefaultHTTPPort
	}
	return c
}

// Check says what is missing or wrong without touching the network.
func (c Config) Check() error {
	var all []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	bad(c.Interface != "", "interface: name the network interface that machines boot through (--interface)")
	bad(!c.Address.IsValid() || c.Address.Is4(), "address: %v is not an IPv4 address", c.Address)
	bad(c.HTTPPort >= 0 && c.HTTPPort < 1<<16, "httpPort: %d is not a port", c.HTTPPort)
	bad(c.StateDir != "", "stateDir: name the folder that keeps the leases (--state-dir)")
	bad(c.MaxAsset >= 0 && c.AssetBudget >= 0, "assets: a limit is negative; leave it out for the default")
	bad(c.AgentImage != "", "agentImage: name the folder with the agent image (--agent-image)")
	d := c.DHCP
	pools := len(d.Network.Pools) + len(d.Reservations) + len(d.Relayed)
	bad(d.Disabled || pools > 0, "dhcp: give a pool (--dhcp-pool), a reservation or a relayed network; or disable it (--no-dhcp) if another server does it")
	bad(!d.Disabled || pools == 0, "dhcp: it is disabled, so pools, reservations and relayed networks do nothing; remove them")
	return errors.Join(all...)
}

// server is a pxe-server with everything opened.
type server struct {
	cfg    Config
	assets assets
	client *controller.Client
	blobs  *blobs.Cache
	events *httpboot.Events
	http   *httpboot.Server
	listen net.Listener
	tftp   *tftp.Server
	dhcp   *dhcp.Server
}

// Run serves until ctx ends or a part fails.
func Run(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := errors.Join(cfg.Check(), needController(cfg)); err != nil {
		return fmt.Errorf("checking the configuration: %w", err)
	}
	s, err := open(cfg)
	if err != nil {
		return err
	}
	return errors.Join(s.serve(ctx), s.blobs.Close())
}

func needController(cfg Config) error {
	if cfg.Controller == nil {
		return errors.New("controller: say who decides what machines get")
	}
	return nil
}

// open takes everything that can fail at the start, so that Run fails before it answers anybody.
func open(cfg Config) (*server, error) {
	prefix, err := addressOf(cfg.Interface, cfg.Address)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	addr := netip.AddrPortFrom(prefix.Addr(), uint16(cfg.HTTPPort))
	s := &server{cfg: cfg, events: httpboot.NewEvents(cfg.Now)}
	s.client = controller.New(cfg.Controller, cfg.Log)
	if s.assets, err = loadAssets(cfg.AgentImage, addr); err != nil {
		return nil, err
	}
	if s.blobs, err = OpenAssets(cfg); err != nil {
		return nil, err
	}
	if err := s.openServers(addr, prefix); err != nil {
		return nil, errors.Join(err, s.blobs.Close())
	}
	return s, nil
}

func (s *server) openServers(addr netip.AddrPort, prefix netip.Prefix) (err error) {
	if s.http, err = httpboot.New(s.httpConfig(addr)); err != nil {
		return err
	}
	return s.openSockets(addr, prefix)
}

func (s *server) httpConfig(addr netip.AddrPort) httpboot.Config {
	return httpboot.Config{
		Addr: addr, Loaders: s.assets.loaders, Image: s.assets.image, ImageArgs: s.assets.args,
		Blobs: s.blobs.Open, View: s.view, Events: s.events, Log: s.cfg.Log, Now: s.cfg.Now, Rand: s.cfg.Rand,
	}
}

func (s *server) leaseFile() string { return filepath.Join(s.cfg.StateDir, "leases") }

// serve runs the parts until the first fails or ctx ends.
func (s *server) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.client.Run(ctx) })
	g.Go(func() error { return s.events.Run(ctx, s.client.Report) })
	g.Go(func() error { return s.blobs.Run(ctx) })
	g.Go(func() error { return s.followFiles(ctx) })
	g.Go(func() error { return s.reportFiles(ctx) })
	g.Go(func() error { return s.http.Serve(ctx, s.listen) })
	g.Go(func() error { return s.tftp.Serve(ctx) })
	if s.dhcp != nil {
		g.Go(func() error { return s.dhcp.Serve(ctx) })
	}
	s.cfg.Log.Info("pxe-server serves", "interface", s.cfg.Interface, "http", s.listen.Addr().String(), "agent", s.assets.version, "dhcp", s.dhcp != nil)
	s.cfg.Ready()
	return g.Wait()
}
