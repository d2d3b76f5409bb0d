// Package controller is the pxe-server's side of its protocol with the controller (layer 2).
//
// It keeps the last view that the controller sent and serves it while the controller is away: machines boot as it last said. Views are checked
// and bounded here, so that everything behind it may trust their shape. It takes any protocol.BootClient: a connection with mutual TLS (Dial),
// or the controller itself in the same process.
package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Waits between connections.
const (
	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second
)

// Client follows the controller.
type Client struct {
	boot protocol.BootClient
	log  *slog.Logger
	view atomic.Pointer[boot.View]
	// connected and changed get a value after the first view of a stream, and after every view.
	connected, changed chan struct{}
}

// New makes a client that knows nothing yet; Run fills it.
func New(b protocol.BootClient, log *slog.Logger) *Client {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{boot: b, log: log, connected: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
}

// Connected gets a value after each new connection: a controller that was started anew remembers nothing of what it was told.
func (c *Client) Connected() <-chan struct{} { return c.connected }

// Changed gets a value after each view.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// View is what the controller said last. It is false until it said something. Nobody may change it.
func (c *Client) View() (boot.View, bool) {
	v := c.view.Load()
	if v == nil {
		return boot.View{}, false
	}
	return *v, true
}

// Run follows the controller until ctx ends, and connects again after every failure: at first within half a second, then ever more slowly, at most
// half a minute later, with jitter so that many sites do not come back at once.
func (c *Client) Run(ctx context.Context) error {
	wait := firstWait
	for {
		views, err := c.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if views > 0 {
			wait = firstWait
		}
		c.log.Warn("controller is away; machines boot as it last said", "error", err, "retry-in", wait)
		if !pace.Pause(ctx, wait) {
			return nil
		}
		wait = min(2*wait, longestWait)
	}
}

// follow takes views from one stream and says how many came.
func (c *Client) follow(ctx context.Context) (views int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.boot.WatchView(ctx, &protocol.WatchViewRequest{})
	if err != nil {
		return 0, fmt.Errorf("asking the controller for its view: %w", err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return views, fmt.Errorf("reading the controller's view: %w", err)
		}
		v, err := ViewOf(m)
		if err != nil {
			return views, fmt.Errorf("checking the controller's view: %w", err)
		}
		if views++; views == 1 {
			pace.Signal(c.connected)
		}
		c.view.Store(&v)
		pace.Signal(c.changed)
		c.log.Info("view of the controller", "revision", v.Revision, "servers", len(v.Servers), "unknown", v.Policy)
	}
}

// Report tells the controller what was seen of boots.
func (c *Client) Report(ctx context.Context, events []*protocol.BootEvent) error {
	if _, err := c.boot.Report(ctx, &protocol.ReportRequest{Events: events}); err != nil {
		c.log.Warn("boot events were not taken; they wait", "events", len(events), "error", err)
		return fmt.Errorf("reporting boot events: %w", err)
	}
	return nil
}

// ReportSite tells the controller how all files of the view fare in this site's cache, and what is known of the other DHCP servers on its networks.
func (c *Client) ReportSite(ctx context.Context, files []*protocol.AssetState, networks []*protocol.Network) error {
	if _, err := c.boot.Report(ctx, &protocol.ReportRequest{Assets: files, Networks: networks}); err != nil {
		return fmt.Errorf("reporting boot files and networks: %w", err)
	}
	return nil
}
