package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// gcPercent halves the heap's slack: the API server's live heap is large and mostly idle.
const gcPercent = 50

// Parts are what runs beside the control plane, with flags of their own.
type Parts interface {
	AddFlags(*pflag.FlagSet)
	// Complete checks the flags before anything is started.
	Complete() error
	Services() []Service
}

// Command is `ingot up`. The parts run beside the control plane unless --control-plane-only is given, and Cluster API after them, which is told whether they do.
func Command(parts Parts, clusterAPI func(alone bool) Service) *cobra.Command {
	var c Config
	var address string
	var alone, withClusterAPI bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run Ingot with its own control plane; all state is in one folder",
		Example: `  # as root: state in /var/lib/ingot; serve machines on eth1
  ingot up --interface eth1

  # beside another API server on this machine
  ingot up --state-dir ~/lab --api-port 7443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.complete(address); err != nil {
				return err
			}
			var err error
			if !alone {
				if err := parts.Complete(); err != nil {
					return err
				}
				c.Services = parts.Services()
			}
			if withClusterAPI && (!alone || cmd.Flags().Changed("cluster-api")) {
				c.Services = append(c.Services, clusterAPI(alone))
			}
			if c.Terminal, err = Terminal(); err != nil {
				return err
			}
			c.Progress = c.Terminal
			tuneMemory()
			return WithSignals(cmd.Context(), c.Progress, func(ctx context.Context) error { return Run(ctx, c) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.StateDir, "state-dir", DefaultStateDir(), "`folder` for all state; created if it does not exist")
	f.StringVar(&address, "api-address", "127.0.0.1", "`address` on which the Kubernetes API is served")
	f.IntVar(&c.APIPort, "api-port", 6443, "`port` on which the Kubernetes API is served; 0 takes any free one")
	f.StringSliceVar(&c.APINames, "api-name", nil, "further `name` or address by which clients reach the API (repeatable)")
	parts.AddFlags(f)
	f.BoolVar(&withClusterAPI, "cluster-api", true, "run the core of Cluster API, and what `clusterctl init` installs of the providers that Ingot contains; with --control-plane-only when it is given")
	f.BoolVar(&alone, "control-plane-only", false, "serve the Kubernetes API with Ingot's kinds, and nothing else")
	return cmd
}

// complete checks what the flags cannot.
func (c *Config) complete(address string) (err error) {
	if c.APIAddress, err = netip.ParseAddr(address); err != nil {
		return fmt.Errorf("--api-address %q is no IP address, such as 127.0.0.1 or 192.168.7.1", address)
	}
	if c.APIPort < 0 || c.APIPort > 65535 {
		return fmt.Errorf("--api-port %d is no port: give a number from 1 to 65535, or 0 for any free one", c.APIPort)
	}
	if c.StateDir == "" {
		return errors.New("no state folder: give one with --state-dir")
	}
	return nil
}

// DefaultStateDir is /var/lib/ingot for root and below the user's state folder otherwise (XDG Base Directory Specification); empty when unknown.
func DefaultStateDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/ingot"
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "ingot")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "ingot")
}

// tuneMemory leaves GOGC to the user who sets it.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// WithSignals runs until SIGINT or SIGTERM; a second one ends the process at once.
func WithSignals(ctx context.Context, out io.Writer, run func(context.Context) error) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, stop := untilSignal(ctx, signals, out, os.Exit)
	defer stop()
	return run(ctx)
}
