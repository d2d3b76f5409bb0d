package setup

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// TestMetrics: whether the controller is heard, since when not, and what waits to be told, as a monitor reads it.
func TestMetrics(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	s := &server{client: controller.New(&fakeController{view: installed("LocalDisk")}, slog.New(slog.DiscardHandler)), events: httpboot.NewEvents(time.Now), segments: []*segment{{http: &httpboot.Server{}}}}
	s.client.Clock = func() time.Time { return now }
	var err error
	s.health, err = openHealth("127.0.0.1:0")
	ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served, followed := make(chan error), make(chan error)
	go func() { served <- s.serveHealth(ctx) }()
	expect := func(step string, lines ...string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + s.health.Addr().String() + "/metrics")
		ok(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		ok(t, err)
		for _, l := range lines {
			if !strings.Contains(string(text), "\ningot_pxe_"+l+"\n") {
				t.Errorf("%s: no line %q in\n%s", step, l, text)
			}
		}
	}
	expect("never heard", "controller_connected 0", "controller_heard_timestamp_seconds 0", "view_servers 0", "boot_events_waiting 0", "boot_events_dropped_total 0")
	following, leave := context.WithCancel(ctx)
	go func() { followed <- s.client.Run(following) }()
	<-s.client.Changed()
	s.events.Restore(make([]*protocol.BootEvent, 3))
	expect("heard", "controller_connected 1", "controller_heard_timestamp_seconds 1.795e+09", "view_servers 1", "boot_events_waiting 3")
	leave()
	ok(t, <-followed)
	now = now.Add(time.Hour)
	expect("isolated", "controller_connected 0", "controller_heard_timestamp_seconds 1.795e+09", "view_servers 1")
	cancel()
	ok(t, <-served)
}

// TestNoMetrics: an empty address serves none, and one that is taken is told with its flag.
func TestNoMetrics(t *testing.T) {
	l, err := openHealth("")
	if l != nil || err != nil {
		t.Errorf("%v, %v", l, err)
	}
	ok(t, (&server{}).serveHealth(t.Context()))
	ok(t, closeHealth(l))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	if _, err := openHealth(taken.Addr().String()); err == nil || !strings.Contains(err.Error(), "--metrics-address") {
		t.Errorf("taken: %v", err)
	}
	ok(t, closeHealth(taken))
}
