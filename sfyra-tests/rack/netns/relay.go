package netns

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

// maxRelayed is how many connections one relay carries; more wait in the
// listener's queue.
const maxRelayed = 256

// Dialer opens the far side of one relayed connection.
type Dialer func(ctx context.Context) (net.Conn, error)

// Relay carries bytes between the connections of a listener and a far side,
// whatever the networks of both are: TCP and unix sockets mix.
type Relay struct {
	listener net.Listener
	dial     Dialer
	stop     context.CancelFunc
	slots    *semaphore.Weighted
	work     sync.WaitGroup
}

// DialTo dials a TCP address or unix:PATH.
func DialTo(target string) Dialer {
	network := "tcp"
	if path, ok := strings.CutPrefix(target, "unix:"); ok {
		network, target = "unix", path
	}
	return func(ctx context.Context) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, target)
	}
}

// NewRelay serves the listener, which it owns from now on, until Close or ctx ends.
func NewRelay(ctx context.Context, listener net.Listener, dial Dialer) *Relay {
	ctx, stop := context.WithCancel(ctx)
	r := &Relay{listener: listener, dial: dial, stop: stop, slots: semaphore.NewWeighted(maxRelayed)}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	r.work.Go(func() { r.accept(ctx) })
	return r
}

// Close ends all connections and waits for their end.
func (r *Relay) Close() {
	r.stop()
	_ = r.listener.Close()
	r.work.Wait()
}

func (r *Relay) accept(ctx context.Context) {
	for r.slots.Acquire(ctx, 1) == nil {
		// maxRelayed keeps this process far from its limit of descriptors, so
		// an error here is the end of the listener.
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.work.Go(func() {
			defer r.slots.Release(1)
			r.carry(ctx, near)
		})
	}
}

func (r *Relay) carry(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := r.dial(ctx)
	if err != nil {
		return // the client sees the end of its connection, as of a closed port
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pour(far, near) })
	both.Go(func() { pour(near, far) })
	both.Wait()
}

// pour copies one direction and then closes that direction only, so that a
// client that has sent everything still gets its answer.
func pour(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	if !errors.Is(err, net.ErrClosed) {
		_ = from.Close()
	}
	_ = to.Close()
}
