// Package controller is the pxe-server's side of its protocol with the controller (layer 2).
//
// It keeps the last view that the controller sent, and says of it that it is isolated while the controller cannot be heard. Views are checked and bounded
// here, so that everything behind it may trust their shape. It takes any protocol.BootClient: a connection with mutual TLS (Dial), or the controller itself
// in the same process.
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

// MaxAge is how long a view counts after the controller was heard last: long enough for a site whose line is down until somebody comes by, and not for ever.
const MaxAge = 30 * 24 * time.Hour

// Client follows the controller.
type Client struct {
	// Clock may be replaced before anything else is called.
	Clock func() time.Time

	boot protocol.BootClient
	log  *slog.Logger
	word atomic.Pointer[word]
	// connected and changed get a value after the first view of a stream, and after every view.
	connected, changed chan struct{}
}

// word is what the controller said last. Nobody changes it.
type word struct {
	view boot.View
	said *protocol.View
	// heard is when the controller was there last; it counts while it is not connected.
	heard     time.Time
	connected bool
	// told is set once that it is too old was logged.
	told atomic.Bool
}

// New makes a client that knows nothing yet; Run fills it.
func New(b protocol.BootClient, log *slog.Logger) *Client {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{Clock: time.Now, boot: b, log: log, connected: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
}

// Connected gets a value after each new connection: a controller that was started anew remembers nothing of what it was told.
func (c *Client) Connected() <-chan struct{} { return c.connected }

// Changed gets a value after each view.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// View is what the controller said last, and whether it is isolated from it. It is false until it said something, and when that is older than MaxAge. Nobody
// may change it.
func (c *Client) View() (boot.View, bool) {
	w := c.word.Load()
	if w == nil {
		return boot.View{}, false
	}
	v := w.view
	v.Isolated = !w.connected
	if age := c.Clock().Sub(w.heard); v.Isolated && age > MaxAge {
		if !w.told.Swap(true) {
			c.log.Warn("what the controller said last is too old to count: "+wayOut, "heard", w.heard.UTC(), "limit", MaxAge)
		}
		return boot.View{}, false
	}
	return v, true
}

// wayOut is what happens without a view.
const wayOut = "until it is heard again, machines wait two minutes and then get their own disk"

// Run follows the controller until ctx ends, and connects again after every failure: at first within half a second, then ever more slowly, at most
// half a minute later, with jitter so that many sites do not come back at once.
func (c *Client) Run(ctx context.Context) error {
	wait := firstWait
	for {
		views, err := c.follow(ctx)
		if ctx.Err() != nil {
			c.lost(nil)
			return nil
		}
		if views > 0 {
			wait = firstWait
			c.lost(err)
		}
		c.log.Warn("controller is away", "error", err, "retry-in", wait)
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
			c.back()
			pace.Signal(c.connected)
		}
		c.word.Store(&word{view: v, said: m, connected: true})
		pace.Signal(c.changed)
		c.log.Info("view of the controller", "revision", v.Revision, "servers", len(v.Servers), "unknown", v.Policy)
	}
}

// lost notes that a stream ended which had brought a view. It is nobody's news when the program ends.
func (c *Client) lost(err error) {
	w := c.word.Load()
	if w == nil || !w.connected {
		return
	}
	c.word.Store(&word{view: w.view, said: w.said, heard: c.Clock()})
	if err != nil {
		c.log.Warn("isolated: servers with a system boot their own disk, and nothing is begun until the controller is heard again", "revision", w.view.Revision, "error", err)
	}
}

// back tells that an isolation ends.
func (c *Client) back() {
	if w := c.word.Load(); w != nil && !w.connected {
		c.log.Info("no longer isolated: the controller is heard again", "heard", w.heard.UTC(), "for", c.Clock().Sub(w.heard).Round(time.Second))
	}
}

// Report tells the controller what was seen of boots.
func (c *Client) Report(ctx context.Context, events []*protocol.BootEvent) error {
	if _, err := c.boot.Report(ctx, &protocol.ReportRequest{Events: events, SentAtMicros: c.Clock().UnixMicro()}); err != nil {
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
