package setup

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"ingot.dev/ingot/boot-assets/blobs"
	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/protocol"
)

// listener is a controller that notes when it is told of boot files, and whose streams a test ends.
type listener struct {
	*fakeController
	mu   sync.Mutex
	at   []time.Time
	fail bool
	cut  context.CancelFunc
}

func (l *listener) WatchView(ctx context.Context, r *protocol.WatchViewRequest, o ...grpc.CallOption) (grpc.ServerStreamingClient[protocol.View], error) {
	ctx, cut := context.WithCancel(ctx)
	l.mu.Lock()
	l.cut = cut
	l.mu.Unlock()
	return l.fakeController.WatchView(ctx, r, o...)
}

func (l *listener) Report(context.Context, *protocol.ReportRequest, ...grpc.CallOption) (*protocol.ReportResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, time.Now())
	if l.fail {
		return nil, errors.New("it does not take it")
	}
	return &protocol.ReportResponse{}, nil
}

// heard forgets and returns the times of the reports so far.
func (l *listener) heard(fail bool) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.at
	l.at, l.fail = nil, fail
	return at
}

// TestReports: every change is told, at most every two seconds; all is told again after each connection and every five minutes; a controller that
// does not take it is asked ever more slowly.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &listener{fakeController: &fakeController{view: &protocol.View{Revision: 1}}}
		cache, err := blobs.Open(blobs.Config{Dir: t.TempDir()})
		ok(t, err)
		defer cache.Close()
		s := &server{cfg: Config{Log: slog.New(slog.DiscardHandler)}, client: controller.New(l, nil), blobs: cache, neighbors: newNeighbors()}
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		for _, part := range []func(context.Context) error{s.client.Run, s.followFiles, s.report} {
			running.Go(func() { _ = part(ctx) })
		}
		after := func(d time.Duration, do func()) {
			pace.Wait(ctx, d)
			synctest.Wait()
			do()
		}
		after(10*time.Second, func() {
			if at := l.heard(false); len(at) < 1 || len(at) > 2 {
				t.Errorf("after the first connection: %v", at)
			}
		})
		for i := range 100 { // ten changes a second
			cache.Want([]blobs.Wanted{{SHA256: strings.Repeat("0", 64), URL: strings.Repeat("x", i)}})
			pace.Wait(ctx, 100*time.Millisecond)
		}
		after(4*time.Second, func() {
			if at := l.heard(false); len(at) < 4 || len(at) > 7 {
				t.Errorf("ten seconds of changes: %v", at)
			}
		})
		for i := range 100 { // made-up DHCP servers, ten a second
			s.neighbors.set("eth1", dhcp.Neighbors{Trouble: dhcp.OtherDHCPServer, Servers: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}})
			pace.Wait(ctx, 100*time.Millisecond)
		}
		after(4*time.Second, func() {
			if at := l.heard(false); len(at) < 4 || len(at) > 7 {
				t.Errorf("ten seconds of other servers: %v", at)
			}
		})
		l.cut()
		after(10*time.Second, func() {
			if at := l.heard(false); len(at) == 0 {
				t.Error("after another connection nothing was told")
			}
		})
		after(15*time.Minute, func() {
			if at := l.heard(true); len(at) != 3 {
				t.Errorf("a quarter of an hour without a change: %v", at)
			}
		})
		after(10*time.Minute, func() {
			if at := l.heard(false); len(at) < 10 || len(at) > 25 {
				t.Errorf("ten minutes of a controller that takes nothing: %d reports at %v", len(at), at)
			}
		})
		after(time.Minute, func() {
			if at := l.heard(false); len(at) < 1 || len(at) > 2 { // a second one when the five minutes ended meanwhile
				t.Errorf("as soon as it takes one: %v", at)
			}
		})
	})
}
