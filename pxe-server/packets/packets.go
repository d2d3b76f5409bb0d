// Package packets holds what the UDP servers of a boot plane share: reading until the end, and saying why a port cannot be opened.
//
// Layer 2, standard library and golang.org/x/sys only. No goroutine is started, and nothing is kept.
package packets

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// patience is how many errors in a row are borne, such as "network is down" of an interface that comes back.
const patience = 100

// Read calls next, which receives one packet and deals with it, until ctx ends (nil), the socket is closed, or too many errors came in a row. What
// names the packets in the error.
func Read(ctx context.Context, what string, next func() error) error {
	for failures := 0; ; {
		err := next()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		case errors.Is(err, net.ErrClosed) || failures >= patience:
			return fmt.Errorf("receiving %s: %w", what, err)
		default:
			failures++
		}
	}
}

// Port is a UDP port that could not be opened.
type Port struct {
	Server string // the kind that listens there: DHCP
	Number uint16
	Where  string // the interface or the address
	Rights string // the capabilities that it takes
}

// Explain says what to do about err.
func (p Port) Explain(err error) error {
	what := fmt.Sprintf("listening on UDP port %d of %s", p.Number, p.Where)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s: another %s server runs here; find it with: ss -ulpn sport = :%d: %w", what, p.Server, p.Number, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: no right to; run as root or with %s: %w", what, p.Rights, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
