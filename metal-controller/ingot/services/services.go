// Package services puts Ingot's controllers and boot services beside the embedded control plane: they are the same as in a management cluster
// and at a site, in this process. Layer 4, wiring.
package services

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"ingot.dev/ingot/metal-controller/ingot/up"
	"ingot.dev/ingot/metal-controller/resolve"
	controllers "ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
	pxe "ingot.dev/ingot/pxe-server/setup"
)

// Default ports; docs/ports.md lists them all.
const (
	defaultAgentPort       = 7443
	defaultConfigPort      = 7445
	defaultPlainConfigPort = 7446
	defaultEventsPort      = 7447
	defaultKernelLogPort   = 7448
	defaultMetricsAddr     = "127.0.0.1:7490"
)

// PXEDir is the folder of the boot services in the state folder.
const PXEDir = "pxe-server"

// Network is the network that Ingot serves, as flags say it.
type Network struct {
	// Interface to serve; empty: controllers only, no boot services.
	Interface string
	// Address on it; when empty its first IPv4 address, or, when it has none, its first IPv6 address beyond the link. Without an interface: where machines and sites reach the controllers, the loopback when empty.
	Address string
	// Pool is START-END; the upper half of the interface's network when empty.
	Pool string
	// Proxy leaves addresses to a DHCP server that the network has already, and names boot files beside it.
	Proxy bool
	// NoDHCP answers no DHCP at all: machines start Ingot by what their BMC is told, or by boot files that another server names.
	NoDHCP bool
	// NoRouterAnswers leaves the IPv6 router solicitations of machines that netboot unanswered.
	NoRouterAnswers bool
	// Announce tells hosts of a network that is served over IPv6 its prefix, and that addresses come from DHCPv6.
	Announce bool
	// Router and DNS that machines get; none when empty.
	Router string
	DNS    []string
	// AgentImages are the folders of the agent's boot images, one for each architecture; those beside the program when empty.
	AgentImages []string
	// FileMiB bounds one boot file of Environments, CacheMiB all of them that are kept; in MiB, the defaults of the boot services when 0.
	FileMiB   int64
	CacheMiB  int64
	AgentArgs []string
	AgentPort int
	// BootPort is for pxe-servers of sites; none when 0.
	BootPort int
	// ConfigPort gives out machine configs over TLS, PlainConfigPort over plain HTTP to those whose class allows it.
	ConfigPort      int
	PlainConfigPort int
	// EventsPort and KernelLogPort are where Talos machines tell how they fare.
	EventsPort    int
	KernelLogPort int
	// Deaf opens neither of these two.
	Deaf          bool
	HTTPPort      int
	UnknownPolicy string
	// DestructiveLimit is how many wipes may be granted in an hour: a number, or a share of the accepted servers; the default when empty.
	DestructiveLimit string
	// DryRun wipes nothing.
	DryRun      bool
	MetricsAddr string

	boot protocol.BootClient
}

// AddFlags adds the flags of `ingot up`.
func (n *Network) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&n.Interface, "interface", "", "serve DHCP, TFTP and HTTP boot on this network interface; without it no machine is booted")
	f.StringVar(&n.Address, "address", "", "`address` to serve on, IPv4 or IPv6 (default: the interface's first IPv4 address; without one, its first IPv6 address); without --interface, where machines and pxe-servers of sites reach Ingot")
	f.StringVar(&n.Pool, "dhcp-pool", "", "addresses to lease, as `START-END` (default: the upper half of the interface's network; of IPv6 65,536 of its addresses)")
	f.BoolVar(&n.Proxy, "proxy-dhcp", false, "another DHCP server on the network gives addresses; name boot files beside it, to PXE and HTTP boot clients only")
	f.BoolVar(&n.NoDHCP, "no-dhcp", false, "answer no DHCP at all: another server gives addresses, and BMCs are told what to boot (httpBootURI, virtualMediaURI)")
	f.BoolVar(&n.NoRouterAnswers, "no-router-answers", false, "do not answer the IPv6 router solicitations of machines that netboot; iPXE in older network cards then waits about 15 s")
	f.BoolVar(&n.Announce, "announce-prefix", false, "on a network that is served over IPv6 and has no router: advertise its prefix, and that addresses come from DHCPv6")
	f.StringVar(&n.Router, "dhcp-router", "", "`address` of the router that machines get (default: none)")
	f.StringSliceVar(&n.DNS, "dhcp-dns", nil, "`addresses` of the name servers that machines get")
	f.StringArrayVar(&n.AgentImages, "agent-image", nil, "`folder` of the agent's boot image, again for another architecture "+
		"(default: those beside the program, of 'make images' and 'make images-arm64')")
	f.Int64Var(&n.FileMiB, "boot-file-limit", 0, "largest boot file of an Environment, in `MiB` (default 4096)")
	f.Int64Var(&n.CacheMiB, "boot-cache-limit", 0, "all boot files that are kept, in `MiB` (default 65536)")
	f.StringArrayVar(&n.AgentArgs, "agent-arg", nil, "further `argument` for the agent's kernel line (repeatable)")
	f.IntVar(&n.AgentPort, "agent-port", defaultAgentPort, "`port` for agents")
	f.IntVar(&n.BootPort, "boot-port", 0, "`port` for pxe-servers of sites, such as 7444 (default: none)")
	f.IntVar(&n.ConfigPort, "config-port", defaultConfigPort, "`port` that gives out machine configs over TLS")
	f.IntVar(&n.PlainConfigPort, "plain-config-port", defaultPlainConfigPort, "`port` that gives them out over plain HTTP, for classes that allow that")
	f.IntVar(&n.EventsPort, "events-port", defaultEventsPort, "`port` where Talos machines tell of their events")
	f.IntVar(&n.KernelLogPort, "kernel-log-port", defaultKernelLogPort, "`port` where they send their kernel's log")
	f.BoolVar(&n.Deaf, "no-talos-signals", false, "do not open the ports for events and kernel logs; what proves that a machine runs is not affected")
	f.IntVar(&n.HTTPPort, "http-port", pxe.DefaultHTTPPort, "`port` for boot scripts and files")
	f.StringVar(&n.UnknownPolicy, "unknown-policy", string(boot.RegisterOnce), "`what` machines get that nobody declared: register-once, ignore or hold")
	f.StringVar(&n.DestructiveLimit, "destructive-limit", "", "how many wipes may be granted in an hour: a `number`, or a share of the accepted servers such as 20% (default: the larger of 5 and 10%)")
	f.BoolVar(&n.DryRun, "dry-run", false, "wipe nothing: show in each Server's status what would be wiped")
	f.StringVar(&n.MetricsAddr, "metrics-address", defaultMetricsAddr, "`address` for metrics and health; empty for none")
}

// Complete fills in what was left out and refuses what cannot work on this machine, before anything is started.
func (n *Network) Complete() error {
	if err := n.Fill(); err != nil {
		return err
	}
	if err := n.checkPorts(context.Background()); err != nil || n.Interface == "" {
		return err
	}
	_, err := n.subnet()
	return err
}

// Fill is Complete for a network that does not exist yet.
func (n *Network) Fill() error {
	n.fillPorts()
	if n.UnknownPolicy == "" {
		n.UnknownPolicy = string(boot.RegisterOnce)
	}
	if err := n.checkWords(); err != nil || n.Interface == "" {
		return err
	}
	if len(n.AgentImages) == 0 {
		n.AgentImages = builtImages()
	}
	for _, folder := range n.AgentImages {
		if !isImage(folder) {
			return fmt.Errorf("there is no agent image in %s: build it with `make images`, or name its folder with --agent-image", folder)
		}
	}
	return nil
}

// builtImages are the agent's for amd64, and for arm64 where somebody built that.
func builtImages() []string {
	images := []string{BuiltImage("agent-amd64")}
	if more := BuiltImage("agent-arm64"); isImage(more) {
		images = append(images, more)
	}
	return images
}

// isImage says whether a folder holds an image: its manifest is written last.
func isImage(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "manifest.json"))
	return err == nil
}

// BuiltImage is the folder where `make images` puts an image of that name: build/assets beside build/bin; the name alone where nobody knows what runs.
func BuiltImage(name string) string {
	program, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(program), "..", "assets", name)
}

// Services are the parts to run beside the control plane, in order.
func (n *Network) Services() []up.Service {
	return []up.Service{{Name: "controllers", Start: n.startControllers}, {Name: "boot services", Start: n.startPXE}}
}

func (n *Network) startControllers(ctx context.Context, env up.Env) (func() error, error) {
	url, err := n.agentURL()
	if err != nil {
		return nil, err
	}
	return background(ctx, func(ctx context.Context, ready func()) error {
		return controllers.Run(ctx, controllers.Config{
			REST: env.ControlPlane.ControllerConfig(), AgentListen: ":" + strconv.Itoa(n.AgentPort), AgentURL: url, AgentArgs: n.AgentArgs,
			BootListen: n.sites(), ConfigListen: ":" + strconv.Itoa(n.ConfigPort), PlainConfigListen: ":" + strconv.Itoa(n.PlainConfigPort),
			EventsListen: n.hears(n.EventsPort), KernelLogListen: n.hears(n.KernelLogPort),
			UnknownPolicy: boot.UnknownPolicy(n.UnknownPolicy), DestructiveLimit: n.DestructiveLimit, DryRun: n.DryRun, MetricsAddr: n.MetricsAddr, Log: logger(env.Log),
			KeepFile: n.keeper(filepath.Join(env.StateDir, PXEDir)),
			Ready:    func(s controllers.Services) { n.boot = s.Boot; ready() },
		})
	})
}

// sites is where pxe-servers of sites connect; empty for none.
func (n *Network) sites() string {
	if n.BootPort == 0 {
		return ""
	}
	return ":" + strconv.Itoa(n.BootPort)
}

// hears is where machines tell how they fare; empty when nobody listens.
func (n *Network) hears(port int) string {
	if n.Deaf {
		return ""
	}
	return ":" + strconv.Itoa(port)
}

// keeper puts boot files that the controllers fetch into the cache of the boot services, so that one transfer serves both. Without boot services there is
// none.
func (n *Network) keeper(dir string) resolve.Keep {
	if n.Interface == "" {
		return nil
	}
	return func(ctx context.Context, file io.Reader) (string, int64, error) {
		files, err := pxe.OpenAssets(n.files(dir))
		if err != nil {
			return "", 0, err
		}
		d, err := files.Import(ctx, file)
		return d.SHA256, d.Size, errors.Join(err, files.Close())
	}
}

// files is the part of the boot services' config that says where boot files are kept, and how many.
func (n *Network) files(dir string) pxe.Config {
	return pxe.Config{StateDir: dir, MaxAsset: n.FileMiB << 20, AssetBudget: n.CacheMiB << 20}
}

// agentURL is how machines reach the agent port: by the address that they are served on.
func (n *Network) agentURL() (string, error) {
	host := "127.0.0.1"
	if n.Address != "" {
		host = n.Address
	}
	if n.Interface != "" {
		prefix, err := n.prefix()
		if err != nil {
			return "", err
		}
		host = prefix.Addr().String()
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(n.AgentPort)), nil
}

func (n *Network) startPXE(ctx context.Context, env up.Env) (func() error, error) {
	if n.Interface == "" {
		return func() error { <-ctx.Done(); return nil }, nil
	}
	subnet, err := n.subnet()
	if err != nil {
		return nil, err
	}
	prefix, err := n.prefix()
	if err != nil {
		return nil, err
	}
	return background(ctx, func(ctx context.Context, ready func()) error {
		c := n.files(filepath.Join(env.StateDir, PXEDir))
		c.Interface, c.Address, c.HTTPPort, c.DHCP = n.Interface, prefix.Addr(), n.HTTPPort, pxe.DHCP{Network: subnet, Proxy: n.Proxy, Disabled: n.NoDHCP, NoRouterAnswers: n.NoRouterAnswers, Announce: n.Announce}
		c.AgentImage, c.MoreImages, c.Controller, c.Log, c.Ready = n.AgentImages[0], n.AgentImages[1:], n.boot, slog.New(slog.NewTextHandler(env.Log, nil)), ready
		return pxe.Run(ctx, c)
	})
}

func logger(w io.Writer) logr.Logger { return logr.FromSlogHandler(slog.NewTextHandler(w, nil)) }

// background runs a part until ctx ends, and returns once it is ready; wait returns what it ended with.
func background(ctx context.Context, run func(ctx context.Context, ready func()) error) (func() error, error) {
	ready, ended := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() { ended <- run(ctx, func() { once.Do(func() { close(ready) }) }) }()
	select {
	case <-ready:
		return func() error { return ignoreCancel(<-ended) }, nil
	case err := <-ended:
		if err == nil {
			err = errors.New("it ended before it was ready")
		}
		return nil, err
	}
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
