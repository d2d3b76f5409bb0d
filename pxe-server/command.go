package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/pxe-server/assets"
	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/pxe-server/setup"
)

const long = `pxe-server lets machines on one network boot what their controller says.

It gives them addresses (DHCP; or --proxy-dhcp beside a DHCP server that there is already), the first boot program (TFTP, or HTTP for UEFI HTTP boot), a script for each machine and
the agent (HTTP). What a machine gets is the controller's decision. While the controller cannot be heard, servers with a system boot
their own disk, as it said last, also after a restart of pxe-server; nothing is begun, and what was seen is told later.

It needs to bind the ports 67 and 69 (as a proxy 4011 as well; on a network with IPv6 alone 547 and 69) and to open packet sockets: root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW. A proxy without CAP_NET_RAW serves; it then hears no other DHCP servers and answers no
router solicitations.

Settings come from a file (--config), from flags, or from both; a flag wins. Beside a DHCP server that there is already, the file's
dhcp part is {proxy: true}; that server needs no setting. The file:

  apiVersion: ` + setup.APIVersion + `
  kind: ` + setup.Kind + `
  interface: eth1
  stateDir: /var/lib/ingot/pxe-server
  agentImage: /usr/share/ingot/agent-amd64
  moreImages: [/usr/share/ingot/agent-arm64]
  metricsAddress: 127.0.0.1:7491
  assets: {maxFileMiB: 4096, budgetMiB: 65536}
  controller:
    address: ingot.example.org:7444
    certificate: /etc/ingot/pxe-server.crt
    key: /etc/ingot/pxe-server.key
    ca: /etc/ingot/ca.crt
  dhcp:
    network:
      pools: ["192.0.2.100-192.0.2.199"]
      router: 192.0.2.1
      dns: [192.0.2.1]
      leaseTime: 1h
    reservations:
    - {mac: "52:54:00:00:00:0a", ip: 192.0.2.10, hostname: rack1-04}`

const example = `  # check a configuration, open nothing
  pxe-server check --config pxe-server.yaml

  # serve without a file
  pxe-server --interface eth1 --dhcp-pool 192.0.2.100-192.0.2.199 --controller ingot.example.org:7444 \
    --cert pxe.crt --key pxe.key --ca ca.crt --agent-image ./image --state-dir ./state

  # another DHCP server gives addresses
  pxe-server --interface eth1 --proxy-dhcp --controller ingot.example.org:7444 \
    --cert pxe.crt --key pxe.key --ca ca.crt --agent-image ./image --state-dir ./state`

// options are the flags.
type options struct {
	config, address, metrics, logLevel string
	pools, images                      []string
	file                               setup.File
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use: "pxe-server", Short: "Boot machines over the network", Long: long, Example: example, Version: version.String(),
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, &o) },
	}
	o.addFlags(root)
	root.AddCommand(&cobra.Command{
		Use: "check", Short: "Check the configuration, say what is wrong, and open nothing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return check(cmd, &o) },
	})
	root.AddCommand(assetsCommand(&o))
	return root
}

// assetsCommand puts boot files into the cache of this site by hand, where there is no network to fetch them.
func assetsCommand(o *options) *cobra.Command {
	group := &cobra.Command{Use: "assets", Short: "Put boot files into this site's cache, or list them", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	group.AddCommand(&cobra.Command{
		Use: "import FILE...", Short: "Put boot files into the cache; print their digests and where they go in an Environment", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			dir, err := o.assetsIn(cmd)
			if err != nil {
				return err
			}
			return assets.Import(cmd.Context(), cmd.OutOrStdout(), dir, files)
		},
	}, &cobra.Command{
		Use: "list", Short: "List the boot files in the cache", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.assetsIn(cmd)
			if err != nil {
				return err
			}
			return assets.List(cmd.OutOrStdout(), dir)
		},
	})
	return group
}

// assetsIn is the state folder of the file, or of the flag. What else a configuration lacks does not matter here.
func (o *options) assetsIn(cmd *cobra.Command) (string, error) {
	file, err := o.merged(cmd)
	if err == nil && file.StateDir == "" {
		err = errors.New("stateDir: name the folder that keeps the boot files (--state-dir)")
	}
	return file.StateDir, err
}

func (o *options) addFlags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVarP(&o.config, "config", "c", "", "configuration file")
	f.StringVar(&o.file.Interface, "interface", "", "network interface that machines boot through")
	f.StringVar(&o.address, "address", "", "address to serve on, IPv4 or IPv6 (default: the first IPv4 address of the interface; without one, its first IPv6 address beyond the link)")
	f.IntVar(&o.file.HTTPPort, "http-port", setup.DefaultHTTPPort, "port for scripts and boot files")
	f.StringVar(&o.file.StateDir, "state-dir", "/var/lib/ingot/pxe-server", "folder that keeps leases, boot files, and what the controller said last")
	f.StringArrayVar(&o.images, "agent-image", nil, "folder with the agent image (vmlinuz, initramfs.zst, manifest.json); again for another architecture")
	f.StringVar(&o.file.Controller.Address, "controller", "", "controller, HOST:PORT")
	f.StringVar(&o.file.Controller.Certificate, "cert", "", "own certificate for the controller (PEM file)")
	f.StringVar(&o.file.Controller.Key, "key", "", "key of the certificate (PEM file)")
	f.StringVar(&o.file.Controller.CA, "ca", "", "CA of the controller (PEM file)")
	f.BoolVar(&o.file.DHCP.Disabled, "no-dhcp", false, "serve no DHCP at all: another server gives addresses and names our boot files")
	f.BoolVar(&o.file.DHCP.Proxy, "proxy-dhcp", false, "another DHCP server on the network gives addresses; name boot files beside it, to PXE and HTTP boot clients only")
	f.BoolVar(&o.file.DHCP.NoRouterAnswers, "no-router-answers", false, "do not answer the IPv6 router solicitations of machines that netboot; iPXE in older network cards then waits about 15 s")
	f.BoolVar(&o.file.DHCP.Announce, "announce-prefix", false, "on a network that is served over IPv6 and has no router: advertise its prefix, and that addresses come from DHCPv6")
	f.StringArrayVar(&o.pools, "dhcp-pool", nil, "addresses to give away, FIRST-LAST; may be repeated")
	f.StringVar(&o.metrics, "metrics-address", setup.DefaultMetricsAddr, "address for metrics and health (/metrics, /healthz, /readyz); empty for none")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
}

// merged is the file with the flags that were given over it.
func (o *options) merged(cmd *cobra.Command) (setup.File, error) {
	file := setup.File{StateDir: o.file.StateDir, HTTPPort: o.file.HTTPPort}
	if o.config != "" {
		text, err := os.ReadFile(o.config)
		if err != nil {
			return file, fmt.Errorf("reading --config: %w", err)
		}
		if file, err = setup.ParseFile(text); err != nil {
			return file, fmt.Errorf("%s: %w", o.config, err)
		}
	}
	return file, o.overlay(cmd, &file)
}

// settings checks what merged gives.
func (o *options) settings(cmd *cobra.Command) (setup.File, setup.Config, error) {
	file, err := o.merged(cmd)
	if err != nil {
		return file, setup.Config{}, err
	}
	c, err := file.Config()
	return file, c, err
}

// overlay puts the flags that were given over the file.
func (o *options) overlay(cmd *cobra.Command, file *setup.File) error {
	set := func(name string, do func()) {
		if cmd.Flags().Changed(name) {
			do()
		}
	}
	var err error
	set("interface", func() { file.Interface = o.file.Interface })
	set("address", func() { file.Address, err = netip.ParseAddr(o.address) })
	set("http-port", func() { file.HTTPPort = o.file.HTTPPort })
	set("state-dir", func() { file.StateDir = o.file.StateDir })
	set("agent-image", func() { file.AgentImage, file.MoreImages = o.images[0], o.images[1:] })
	set("controller", func() { file.Controller.Address = o.file.Controller.Address })
	set("cert", func() { file.Controller.Certificate = o.file.Controller.Certificate })
	set("key", func() { file.Controller.Key = o.file.Controller.Key })
	set("ca", func() { file.Controller.CA = o.file.Controller.CA })
	set("no-dhcp", func() { file.DHCP.Disabled = o.file.DHCP.Disabled })
	set("proxy-dhcp", func() { file.DHCP.Proxy = o.file.DHCP.Proxy })
	set("no-router-answers", func() { file.DHCP.NoRouterAnswers = o.file.DHCP.NoRouterAnswers })
	set("announce-prefix", func() { file.DHCP.Announce = o.file.DHCP.Announce })
	set("metrics-address", func() { file.MetricsAddress = &o.metrics })
	set("dhcp-pool", func() { file.DHCP.Network.Pools = o.pools })
	if err != nil {
		return fmt.Errorf("reading --address: %w", err)
	}
	return nil
}

func (o *options) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, errors.New("--log-level: want debug, info, warn or error")
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

func check(cmd *cobra.Command, o *options) error {
	file, _, err := o.settings(cmd)
	if err != nil {
		return err
	}
	conn, err := controller.Dial(file.Controller.Address, file.Controller.TLS())
	if err != nil {
		return err
	}
	origin, err := file.Controller.TLS().Origin()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	fmt.Fprintln(cmd.OutOrStdout(), "The configuration is good. The certificate is for "+origin)
	return conn.Close()
}

func serve(cmd *cobra.Command, o *options) error {
	file, cfg, err := o.settings(cmd)
	if err != nil {
		return fmt.Errorf("%w\nsee pxe-server --help", err)
	}
	if cfg.Log, err = o.logger(); err != nil {
		return err
	}
	conn, err := controller.Dial(file.Controller.Address, file.Controller.TLS())
	if err != nil {
		return err
	}
	cfg.Controller = protocol.NewBootClient(conn)
	if cfg.Origin, err = file.Controller.TLS().Origin(); err != nil {
		return errors.Join(err, conn.Close())
	}
	err = setup.Run(cmd.Context(), cfg)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, conn.Close())
}
