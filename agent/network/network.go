// Package network gives the machine an address: it brings the interfaces up, asks by DHCP or, over IPv6, does what the routers of the link say, first where the
// machine netbooted from, and keeps the lease.
//
// Layer 2, adapter. Every wait is bounded and says on the console what it waits for and what comes next. The whole has no
// end of its own: cables get plugged in and switches come up after minutes.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// Interface is one network interface with hardware behind it.
type Interface struct {
	Name string
	// MAC in use, lower case with colons.
	MAC string
}

// Lease is what a DHCP server gave, or what the kernel made of a router's word.
type Lease struct {
	Interface string
	Address   netip.Prefix
	// ByKernel says that the kernel made the address, keeps it and removes it.
	ByKernel bool
	// Router is invalid when the server named none, and over IPv6, where the kernel heeds the routers.
	Router netip.Addr
	DNS    []netip.Addr
	// Duration of the lease and Renew, the time after which to ask again (T1 of RFC 2131 section 4.4.5).
	Duration, Renew time.Duration
	// handle is what the client needs to renew.
	handle any
}

// Kernel is the part of the operating system that knows interfaces and addresses.
type Kernel interface {
	Interfaces() ([]Interface, error)
	Up(name string) error
	Carrier(name string) bool
	// Configure sets address, route and resolver. Again with the same lease it changes nothing.
	Configure(l Lease) error
	// Remove takes back what Configure did.
	Remove(l Lease) error
}

// Client speaks DHCP. ErrNoServer tells silence from other failures, ErrRefused that the address must not be used any more.
type Client interface {
	Request(ctx context.Context, ifname string) (Lease, error)
	Renew(ctx context.Context, l Lease) (Lease, error)
}

var (
	// ErrNoServer says that no DHCP server answered.
	ErrNoServer = errors.New("no DHCP server answered")
	// ErrNoRouter says that no router, nor anybody in its place, said how hosts of the link get IPv6 addresses.
	ErrNoRouter = errors.New("no IPv6 router advertisement was heard")
	// ErrInUse says that another host of the link has the address.
	ErrInUse = errors.New("another host uses the address")
	// ErrRefused says that the server took the address back (DHCPNAK).
	ErrRefused = errors.New("the DHCP server refused the address")
)

// Network brings a machine onto the network. All fields are required.
type Network struct {
	Kernel Kernel
	Client Client
	// BootMAC is the interface to try first; may be empty.
	BootMAC string
	// After is time.After, or a fake of tests.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
	// Changed hears of each new address. May be nil.
	Changed func(Lease)
}

// Bounds of one round over all interfaces.
const (
	firstLinkTime = 30 * time.Second // spanning tree and long link training
	otherLinkTime = 5 * time.Second  // they came up while the first was tried
	dhcpTime      = 30 * time.Second
	linkPoll      = 250 * time.Millisecond
	firstPause    = 2 * time.Second
	longestPause  = 60 * time.Second
)

// Connect returns with the first lease that an interface gets. It goes on for ever, until ctx ends.
func (n *Network) Connect(ctx context.Context) (Lease, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if lease, ok := n.round(ctx); ok {
			return lease, nil
		}
		n.Log.Info("no interface got an address; trying all of them again", "in", pause)
		if err := n.wait(ctx, pause); err != nil {
			return Lease{}, err
		}
	}
}

// round tries each interface once.
func (n *Network) round(ctx context.Context) (Lease, bool) {
	all, err := n.Kernel.Interfaces()
	if err != nil {
		n.Log.Warn("cannot list network interfaces", "error", err)
	}
	if len(all) == 0 {
		n.Log.Warn("no network interface found: the image may lack the driver for it")
	}
	n.sort(all)
	for _, i := range all {
		if err := n.Kernel.Up(i.Name); err != nil {
			n.Log.Warn("cannot bring interface up", "interface", i.Name, "error", err)
		}
	}
	for i, one := range all {
		bound := otherLinkTime
		if i == 0 {
			bound = firstLinkTime
		}
		if lease, ok := n.try(ctx, one, bound, next(all, i)); ok {
			return lease, true
		}
	}
	return Lease{}, false
}

// sort puts the boot interface first and keeps the kernel's order otherwise.
func (n *Network) sort(all []Interface) {
	rank := func(i Interface) int {
		if i.MAC == n.BootMAC {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b Interface) int { return rank(a) - rank(b) })
}

// next names the step after an interface that failed.
func next(all []Interface, i int) string {
	if i+1 < len(all) {
		return "trying " + all[i+1].Name
	}
	return "it was the last interface"
}

// try waits for a link on one interface, then for a lease.
func (n *Network) try(ctx context.Context, i Interface, bound time.Duration, then string) (Lease, bool) {
	if !n.link(ctx, i, bound) {
		n.Log.Warn(fmt.Sprintf("no link on %s after %s: check the cable; %s", i.Name, bound, then))
		return Lease{}, false
	}
	n.Log.Info("waiting for an address on " + i.Name)
	lease, err := n.request(ctx, i.Name)
	if err != nil {
		n.Log.Warn(fmt.Sprintf("no address on %s: %v; %s", i.Name, err, then))
		return Lease{}, false
	}
	n.Log.Info("got an address", "interface", i.Name, "address", lease.Address, "lease", lease.Duration)
	return lease, true
}

func (n *Network) link(ctx context.Context, i Interface, bound time.Duration) bool {
	if n.Kernel.Carrier(i.Name) {
		return true
	}
	n.Log.Info("waiting for a link on "+i.Name, "mac", i.MAC, "at most", bound)
	for waited := time.Duration(0); waited < bound; waited += linkPoll {
		if n.wait(ctx, linkPoll) != nil {
			return false
		}
		if n.Kernel.Carrier(i.Name) {
			return true
		}
	}
	return false
}

func (n *Network) request(ctx context.Context, ifname string) (Lease, error) {
	ctx, cancel := n.bounded(ctx, dhcpTime)
	defer cancel()
	lease, err := n.Client.Request(ctx, ifname)
	if err != nil {
		return Lease{}, err
	}
	err = n.use(lease)
	if d, ok := n.Client.(decliner); ok && errors.Is(err, ErrInUse) {
		err = errors.Join(err, d.Decline(ctx, lease))
	}
	return lease, err
}

// decliner is a Client that can tell the server that somebody else uses the address of a lease.
type decliner interface {
	Decline(ctx context.Context, l Lease) error
}

// use makes an address work and tells of it.
func (n *Network) use(l Lease) error {
	if err := n.Kernel.Configure(l); err != nil {
		return err
	}
	if n.Changed != nil {
		n.Changed(l)
	}
	return nil
}

// bounded is context.WithTimeout by the injected clock.
func (n *Network) bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	expired := n.After(d)
	go func() {
		select {
		case <-expired:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (n *Network) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-n.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the network: %w", context.Cause(ctx))
	}
}
