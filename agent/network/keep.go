package network

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// shortestRetry is the least time between two attempts to renew (RFC 2131 section 4.4.5).
const shortestRetry = 60 * time.Second

// Keep renews a lease until ctx ends. When the lease ends without an answer it takes the address away and connects anew.
func (n *Network) Keep(ctx context.Context, l Lease) error {
	for {
		renewed, err := n.renew(ctx, l)
		if ctx.Err() != nil {
			return fmt.Errorf("keeping the lease: %w", context.Cause(ctx))
		}
		if err != nil {
			n.Log.Warn("the lease is lost; starting over", "interface", l.Interface, "address", l.Address)
			n.remove(l)
			if renewed, err = n.Connect(ctx); err != nil {
				return err
			}
		}
		l = renewed
	}
}

// renew waits until T1 and asks until there is an answer or the lease ends: each wait is half of what is left.
func (n *Network) renew(ctx context.Context, l Lease) (Lease, error) {
	left, pause := l.Duration, l.Renew
	for {
		if err := n.wait(ctx, pause); err != nil {
			return Lease{}, err
		}
		left -= pause
		renewed, err := n.ask(ctx, l)
		if err == nil {
			return renewed, nil
		}
		n.Log.Warn("cannot renew the lease", "interface", l.Interface, "left", left, "error", err)
		if left < shortestRetry || errors.Is(err, ErrRefused) {
			return Lease{}, err
		}
		pause = min(max(left/2, shortestRetry), left)
	}
}

// ask renews once. A server that gives another address than before makes the old one end.
func (n *Network) ask(ctx context.Context, l Lease) (Lease, error) {
	ctx, cancel := n.bounded(ctx, dhcpTime)
	defer cancel()
	renewed, err := n.Client.Renew(ctx, l)
	if err != nil {
		return Lease{}, err
	}
	if renewed.Address == l.Address {
		return renewed, n.Kernel.Configure(renewed)
	}
	n.remove(l)
	return renewed, n.use(renewed)
}

func (n *Network) remove(l Lease) {
	if err := n.Kernel.Remove(l); err != nil {
		n.Log.Warn("cannot remove address", "address", l.Address, "error", err)
	}
}
