// Package lab is `ingot lab`: a virtual rack with real firmware and real BMC protocols, and Ingot serving it, in one command. Layer 4, wiring.
//
// Everything runs in a network namespace of its own, so the host's network stays untouched and nothing is left behind; only the API's port leads
// into it from 127.0.0.1.
package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/ingot/services"
	"ingot.dev/ingot/metal-controller/ingot/up"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/netns"
)

// Environment variables by which the parent tells the child in the namespace what it chose.
const (
	portVariable  = "INGOT_LAB_API_PORT"
	stateVariable = "INGOT_LAB_STATE_DIR"
)

// preferredPort is kubectl's usual one; when it is taken on this host another one is.
const preferredPort = 6443

type config struct {
	servers         int
	stateDir        string
	agentImages     []string
	powerOn         bool
	untilRegistered bool
	story           bool
	testOS          string
	faultWords      []string
	faults          faults
}

// Command is `ingot lab`.
func Command(env *cli.Env) *cobra.Command {
	c := &config{}
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Rack virtual servers and let Ingot serve them: no hardware, no cluster, no set-up",
		Long: "Rack virtual servers (QEMU with UEFI firmware, each with a Redfish BMC) in a network\n" +
			"namespace of their own, start Ingot's control plane and boot services for them, and\n" +
			"switch them on. They netboot and register, live. Ctrl-C ends it and leaves nothing\n" +
			"behind, except for the folder that --state-dir names.\n\n" +
			"With --faults BMCs misbehave, to see what Ingot makes of that; `ingot lab faults` switches\nthem while the lab runs. The kinds:\n\n" + faultHelp(),
		Example: "  ingot lab\n\n  # keeps its state; switch on with: ingot power on rack1-01\n  ingot lab --servers 1 --power-on=false --state-dir ~/lab\n\n" +
			"  # the first BMC never answers, the second says yes and does nothing\n  ingot lab --faults rack1-01=dead,rack1-02=lying",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.check(); err != nil {
				return &cli.ExitError{Code: cli.CodeUsage, Err: err}
			}
			if !netns.Inside() {
				return c.outside(cmd)
			}
			return c.inside(cmd)
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.servers, "servers", 3, "how many servers to rack, at most 16; without KVM each takes a core while it boots")
	f.StringVar(&c.stateDir, "state-dir", "", "`folder` that keeps disks, logs and the control plane's state (default: a temporary folder that is removed at the end)")
	f.StringArrayVar(&c.agentImages, "agent-image", nil, "`folder` of the agent's boot image (default: beside the program; 'make images' builds it)")
	f.BoolVar(&c.powerOn, "power-on", true, "switch the servers on, through their BMCs")
	f.BoolVar(&c.story, "story", false, "lead the first server on: accept it, wipe it, claim it, and let it run a small test OS")
	f.StringVar(&c.testOS, "test-os", "", "`folder` of the test OS for --story (default: beside the program; 'make images' builds it)")
	f.BoolVar(&c.untilRegistered, "until-registered", false, "end when every server has registered")
	f.StringSliceVar(&c.faultWords, "faults", nil, "`SERVER=KIND,...`: BMCs that misbehave, and how; several kinds for one server add up")
	_ = cmd.RegisterFlagCompletionFunc("faults", c.flagFaults) // fails for a flag that does not exist only
	cmd.AddCommand(newFaults(env))
	return cmd
}

// check says what of the flags cannot be meant.
func (c *config) check() (err error) {
	if c.servers < 1 || c.servers > rack.MaxServers {
		return fmt.Errorf("--servers %d: a lab has 1 to %d servers", c.servers, rack.MaxServers)
	}
	if c.faults, err = parseFaults(c.faultWords, c.servers); err != nil {
		return fmt.Errorf("--faults: %w", err)
	}
	return nil
}

// outside prepares what belongs to the host, and runs this program again inside a new network namespace.
func (c *config) outside(cmd *cobra.Command) error {
	if err := c.preflight(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1) // while the child runs, Reexec hands them on to it; before and after, they must not leave a folder behind
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	port, err := choosePort(cmd.Context())
	if err != nil {
		return err
	}
	dir, remove, err := c.folder()
	if err != nil {
		return err
	}
	defer remove()
	if len(signals) > 0 {
		return nil
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	code, err := netns.Reexec(cmd.Context(), os.Args[1:], netns.Options{
		Env:      []string{portVariable + "=" + strconv.Itoa(port), stateVariable + "=" + dir},
		Forwards: []netns.Forward{{Listen: address, Dial: address}},
	})
	if err != nil {
		return fmt.Errorf("starting the lab: %w", err)
	}
	if code != 0 {
		return &cli.ExitError{Code: code} // the child has told why
	}
	return nil
}

// choosePort takes kubectl's usual port when it is free on this host, and any other otherwise.
func choosePort(ctx context.Context) (int, error) {
	var l net.ListenConfig
	for _, port := range []int{preferredPort, 0} {
		listener, err := l.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer listener.Close()
		if a, ok := listener.Addr().(*net.TCPAddr); ok {
			return a.Port, nil
		}
	}
	return 0, errors.New("no free port on 127.0.0.1 for the API")
}

// folder is where the state lives, and what removes it at the end when nobody asked to keep it.
func (c *config) folder() (string, func(), error) {
	if c.stateDir != "" {
		dir, err := filepath.Abs(c.stateDir)
		return dir, func() {}, err
	}
	dir, err := os.MkdirTemp("", "ingot-lab-")
	if err != nil {
		return "", nil, fmt.Errorf("making a folder for the lab: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// inside runs the rack and Ingot in the namespace.
func (c *config) inside(cmd *cobra.Command) error {
	ns, err := netns.Enter(cmd.Context())
	if err != nil {
		return err
	}
	defer ns.Close()
	port, err := strconv.Atoi(os.Getenv(portVariable))
	if err != nil {
		return fmt.Errorf("reading %s: %w", portVariable, err)
	}
	dir := os.Getenv(stateVariable)
	network := &services.Network{
		Interface: rack.DefaultBridge, AgentImages: c.agentImages, AgentArgs: strings.Fields(rack.KernelArgs()),
	}
	if err := network.Fill(); err != nil {
		return err
	}
	machines := &machinesService{count: c.servers, faults: c.faults}
	show := &showService{config: c, machines: machines, out: cmd.OutOrStdout()}
	all := append([]up.Service{{Name: "virtual rack", Start: machines.start}}, network.Services()...)
	all = append(all, up.Service{Name: "servers", Start: show.start})
	terminal, err := up.Terminal()
	if err != nil {
		return err
	}
	return up.WithSignals(cmd.Context(), terminal, func(ctx context.Context) error {
		ctx, end := context.WithCancel(ctx)
		defer end()
		show.end = end
		return up.Run(ctx, up.Config{
			StateDir: filepath.Join(dir, "state"), APIAddress: netip.MustParseAddr("127.0.0.1"), APIPort: port,
			Services: all, Terminal: terminal, Progress: terminal, Now: time.Now, Brief: true,
		})
	})
}

// machinesService is the rack as a part of `ingot up`.
type machinesService struct {
	count    int
	faults   faults
	machines *machines
}

func (s *machinesService) start(ctx context.Context, env up.Env) (func() error, error) {
	dir := filepath.Join(filepath.Dir(env.StateDir), "lab")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the lab's folder: %w", err)
	}
	log := slog.New(slog.NewTextHandler(env.Log, nil))
	m, err := startMachines(ctx, dir, s.count, rand.Text, log)
	if err != nil {
		return nil, err
	}
	for _, b := range m.bmcs {
		if err := b.misbehave(s.faults[b.name]); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	s.machines = m
	return func() error { <-ctx.Done(); return m.Close() }, nil
}
