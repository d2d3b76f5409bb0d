package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
)

// Namespace is the child's side: a network with a loopback and the doors that
// the parent opened.
type Namespace struct {
	relays []*Relay
}

// Enter readies the namespace in the child: loopback up, ports forwarded. It
// refuses to touch the host's own network.
func Enter(ctx context.Context) (*Namespace, error) {
	if !Inside() {
		return nil, errors.New("entering the namespace: this process is in the host's network; start it through netns.Reexec")
	}
	if err := loopback(); err != nil {
		return nil, fmt.Errorf("entering the namespace: %w", err)
	}
	relays, err := inherit(ctx, os.Getenv(doorsVariable))
	if err != nil {
		return nil, fmt.Errorf("entering the namespace: %w", err)
	}
	return &Namespace{relays: relays}, nil
}

func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback: %w", err)
	}
	err = netlink.LinkSetUp(lo)
	if errors.Is(err, syscall.EPERM) {
		// Ubuntu's AppArmor lets the namespace be made and then takes its rights.
		return fmt.Errorf("%w (%w); %s", ErrForbidden, err, forbiddenHelp)
	}
	if err != nil {
		return fmt.Errorf("bringing the loopback up: %w", err)
	}
	return nil
}

// Addresses are the host's addresses that lead into the namespace, in the
// order of Options.Forwards.
func (n *Namespace) Addresses() []net.Addr {
	addresses := make([]net.Addr, 0, len(n.relays))
	for _, relay := range n.relays {
		addresses = append(addresses, relay.listener.Addr())
	}
	return addresses
}

// Close ends the forwarding. The namespace itself goes with its last process.
func (n *Namespace) Close() {
	for _, relay := range n.relays {
		relay.Close()
	}
}

// Runner is *testing.M, without importing testing into programs.
type Runner interface{ Run() int }

// Main runs the tests of a package in a namespace of their own:
//
//	func TestMain(m *testing.M) { netns.Main(m) }
func Main(m Runner) { os.Exit(runTests(m)) }

func runTests(m Runner) int {
	ctx := context.Background()
	if !Inside() {
		code, err := Reexec(ctx, os.Args[1:], Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, "netns:", err)
			return 1
		}
		return code
	}
	namespace, err := Enter(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "netns:", err)
		return 1
	}
	defer namespace.Close()
	return m.Run()
}
