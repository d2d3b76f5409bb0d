package up

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// gcPercent halves the heap's slack: the API server's live heap is large and mostly idle.
const gcPercent = 50

// Command is `ingot up`. The services run beside the control plane unless --control-plane-only is given.
func Command(services ...Service) *cobra.Command {
	var c Config
	var address string
	var alone bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run Ingot with its own control plane; all state is in one folder",
		Example: `  # as root: state in /var/lib/ingot
  ingot up

  # beside another API server on this machine
  ingot up --state-dir ~/lab --api-port 7443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.complete(address); err != nil {
				return err
			}
			var err error
			if c.Terminal, err = terminal(); err != nil {
				return err
			}
			c.Progress = c.Terminal
			if !alone {
				c.Services = services
			}
			tuneMemory()
			return withSignals(cmd, c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.StateDir, "state-dir", defaultStateDir(), "folder for all state; created if it does not exist")
	f.StringVar(&address, "api-address", "127.0.0.1", "address on which the Kubernetes API is served")
	f.IntVar(&c.APIPort, "api-port", 6443, "port on which the Kubernetes API is served; 0 takes any free one")
	f.StringSliceVar(&c.APINames, "api-name", nil, "further name or address by which clients reach the API (repeatable)")
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

// defaultStateDir is /var/lib/ingot for root and below the user's state folder otherwise (XDG Base Directory Specification); empty when unknown.
func defaultStateDir() string {
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

// withSignals runs until SIGINT or SIGTERM; a second one ends the process at once.
func withSignals(cmd *cobra.Command, c Config) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, stop := untilSignal(cmd.Context(), signals, c.Progress, os.Exit)
	defer stop()
	return Run(ctx, c)
}
