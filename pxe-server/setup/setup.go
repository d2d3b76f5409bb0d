// Package setup wires a pxe-server (layer 4): DHCP, TFTP and HTTP for each of its interfaces, and the way to the controller.
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
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"ingot.dev/ingot/boot-assets/blobs"
	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// DefaultHTTPPort is where scripts and boot files are served.
const DefaultHTTPPort = 7480

// Config is what a pxe-server needs.
type Config struct {
	// Interface is the network interface that machines boot through.
	Interface string
	// Address is the one to serve on, IPv4 or IPv6; when unset the interface's first IPv4 address, or, when it has none, its first IPv6 address.
	Address netip.Addr
	// HTTPPort is DefaultHTTPPort when zero.
	HTTPPort int
	DHCP     DHCP
	// More are further networks. Their machines get the same, each under the address of its own network.
	More []Network
	// StateDir keeps the leases, and the boot files of Environments. It is made when it is missing.
	StateDir string
	// MaxAsset bounds one boot file, AssetBudget all of them, in bytes; zero is blobs' default.
	MaxAsset, AssetBudget int64
	// AgentImage is the folder with the kernel, the initramfs and manifest.json.
	AgentImage string
	// MoreImages are further such folders, for machines of other architectures.
	MoreImages []string
	// Controller says what machines get and takes what was seen.
	Controller protocol.BootClient
	// Origin names the controller and the site. What it said last, and what it was not told yet, are kept in StateDir, and count after a restart for this
	// origin only. Empty keeps nothing: for a controller in the same process, which is never away.
	Origin string
	// MetricsAddr is where metrics and health are served besides, HOST:PORT; nowhere when empty.
	MetricsAddr string

	// Log, Now and Rand may be nil: no logs, the system's clock and randomness. Ready is called once everything is served.
	Log   *slog.Logger
	Now   func() time.Time
	Rand  io.Reader
	Ready func()
}

// Network is one that machines boot through.
type Network struct {
	Interface string
	// Address is the one to serve on, IPv4 or IPv6; when unset the interface's first IPv4 address, or, when it has none, its first IPv6 address.
	Address netip.Addr
	DHCP    DHCP
}

// networks are all of them, the first one first.
func (c Config) networks() []Network {
	return append([]Network{{c.Interface, c.Address, c.DHCP}}, c.More...)
}

// DHCP is what machines get besides their boot files.
type DHCP struct {
	// Disabled leaves addresses to somebody else, who then has to name our boot files as well.
	Disabled bool
	// Proxy leaves addresses to somebody else, too, and names our boot files to PXE and HTTP boot clients beside it.
	Proxy bool
	// NoRouterAnswers leaves the router solicitations of machines that netboot unanswered; iPXE in older network cards then waits about 15 s for IPv6.
	NoRouterAnswers bool
	// Announce sends router advertisements on a network that is served over IPv6: that the prefix is on the link, and that addresses come from DHCPv6. It is for
	// networks without a router; where one is heard, it is left to that.
	Announce bool
	// Peers are the addresses of further pxe-servers on the network, which are not to be warned of.
	Peers []netip.Addr
	// Network holds pools, router, name servers and lease time of the interface's own network. Its prefix comes from the interface.
	Network dhcp.Subnet
	// Relayed are networks behind DHCP relays; for a proxy they have a prefix only.
	Relayed      []dhcp.Subnet
	Reservations []dhcp.Reservation
}

// mode is one word for logs.
func (d DHCP) mode() string {
	switch {
	case d.Disabled:
		return "none"
	case d.Proxy:
		return "proxy"
	}
	return "full"
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
	bad(c.HTTPPort >= 0 && c.HTTPPort < 1<<16, "httpPort: %d is not a port", c.HTTPPort)
	bad(c.StateDir != "", "stateDir: name the folder that keeps the leases (--state-dir)")
	bad(c.MaxAsset >= 0 && c.AssetBudget >= 0, "assets: a limit is negative; leave it out for the default")
	bad(!slices.Contains(c.MoreImages, ""), "moreImages: one of them has no name; remove it, or name the folder of an agent image for another architecture")
	bad(c.AgentImage != "", "agentImage: name the folder with the agent image (--agent-image)")
	return errors.Join(append(all, c.checkNetworks()...)...)
}

// checkNetworks names the further ones in its errors.
func (c Config) checkNetworks() (all []error) {
	names := map[string]bool{}
	for i, n := range c.networks() {
		at := ""
		if i > 0 {
			at = fmt.Sprintf("moreNetworks[%d].", i-1)
		}
		switch {
		case n.Interface == "":
			all = append(all, fmt.Errorf("%sinterface: name the network interface that machines boot through (--interface)", at))
		case names[n.Interface]:
			all = append(all, fmt.Errorf("%sinterface: %s is served already; name another, or remove this one", at, n.Interface))
		}
		names[n.Interface] = true
		if a := n.Address; a.IsValid() && !a.Is4() && (!a.IsGlobalUnicast() || a.Is4In6() || a.Zone() != "") {
			all = append(all, fmt.Errorf("%saddress: %v is neither an IPv4 address nor an IPv6 address beyond the link", at, a))
		}
		if err := n.DHCP.check(); err != nil {
			all = append(all, fmt.Errorf("%s%w", at, err))
		}
	}
	return all
}

// check compares what shall be given away with who gives it.
func (d DHCP) check() error {
	pools := len(d.Network.Pools) + len(d.Reservations) + len(d.Relayed)
	given := len(d.Network.Pools) + len(d.Reservations)
	for _, n := range d.Relayed {
		given += len(n.Pools)
	}
	switch {
	case d.Disabled && d.Proxy:
		return errors.New("dhcp: it is disabled, and it is a proxy; remove one of both (--no-dhcp, --proxy-dhcp)")
	case d.Disabled && pools > 0:
		return errors.New("dhcp: it is disabled, so pools, reservations and relayed networks do nothing; remove them")
	case d.Proxy && given > 0:
		return errors.New("dhcp: a proxy gives no addresses, so pools and reservations do nothing; remove them")
	case !d.Disabled && !d.Proxy && pools == 0:
		return errors.New("dhcp: give a pool (--dhcp-pool), a reservation or a relayed network; or, if another server gives addresses, name only boot files (--proxy-dhcp)")
	}
	return nil
}

// server is a pxe-server with everything opened.
type server struct {
	cfg       Config
	images    map[string]httpboot.Image
	versions  string // of the images
	client    *controller.Client
	blobs     *blobs.Cache
	events    *httpboot.Events
	kept      *kept        // nil when nothing is kept
	health    net.Listener // nil when nobody shall ask
	neighbors *neighbors
	segments  []*segment
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
	return errors.Join(s.serve(ctx), s.kept.close(), s.blobs.Close())
}

func needController(cfg Config) error {
	if cfg.Controller == nil {
		return errors.New("controller: say who decides what machines get")
	}
	return nil
}

// open takes everything that can fail at the start, so that Run fails before it answers anybody.
func open(cfg Config) (*server, error) {
	segments, err := segmentsOf(cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	s := &server{cfg: cfg, events: httpboot.NewEvents(cfg.Now), neighbors: newNeighbors(), segments: segments}
	s.client = controller.New(cfg.Controller, cfg.Log)
	s.client.Clock = cfg.Now
	s.kept = openKept(cfg, s.client, s.events)
	if s.images, s.versions, err = loadImages(append([]string{cfg.AgentImage}, cfg.MoreImages...)); err != nil {
		return nil, err
	}
	if s.blobs, err = OpenAssets(cfg); err != nil {
		return nil, err
	}
	if s.health, err = openHealth(cfg.MetricsAddr); err != nil {
		return nil, errors.Join(err, s.blobs.Close())
	}
	if err := s.openSegments(); err != nil {
		return nil, errors.Join(err, closeHealth(s.health), s.blobs.Close())
	}
	return s, nil
}

// serve runs the parts until the first fails or ctx ends.
func (s *server) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.client.Run(ctx) })
	g.Go(func() error { return s.events.Run(ctx, s.client.Report) })
	g.Go(func() error { return s.kept.run(ctx) })
	g.Go(func() error { return s.serveHealth(ctx) })
	g.Go(func() error { return s.blobs.Run(ctx) })
	g.Go(func() error { return s.followFiles(ctx) })
	g.Go(func() error { return s.report(ctx) })
	for _, n := range s.segments {
		n.serve(ctx, g)
		s.cfg.Log.Info("pxe-server serves", "interface", n.Interface, "http", n.listen.Addr().String(), "agent", s.versions, "dhcp", n.DHCP.mode())
	}
	s.cfg.Ready()
	return g.Wait()
}
