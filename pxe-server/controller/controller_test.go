package controller_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a controller whose streams the test feeds: each connection takes the next list of views and then fails with the next error.
type fake struct {
	protocol.UnimplementedBootServer
	views  chan *protocol.View
	fail   chan error
	mu     sync.Mutex
	opened int
	events []*protocol.BootEvent
	assets []*protocol.AssetState
}

func (f *fake) WatchView(_ *protocol.WatchViewRequest, s grpc.ServerStreamingServer[protocol.View]) error {
	f.mu.Lock()
	f.opened++
	f.mu.Unlock()
	for {
		select {
		case v := <-f.views:
			if err := s.Send(v); err != nil {
				return err
			}
		case err := <-f.fail:
			return err
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

func (f *fake) Report(_ context.Context, r *protocol.ReportRequest) (*protocol.ReportResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, r.GetEvents()...)
	f.assets = append(f.assets, r.GetAssets()...)
	return &protocol.ReportResponse{}, nil
}

// start runs a fake and a client of it; cond is called whenever the client may have changed.
func start(t *testing.T) (*fake, *controller.Client) {
	t.Helper()
	f := &fake{views: make(chan *protocol.View), fail: make(chan error)}
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer()
	protocol.RegisterBootServer(srv, f)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///fake", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	c := controller.New(protocol.NewBootClient(conn), nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		conn.Close()
		srv.Stop()
		<-served
	})
	return f, c
}

// settle makes sure that everything sent before it was taken: the fake only takes the failure after the stream took the view, and the
// client only opens another stream after it read the first to its end.
func settle(f *fake, next *protocol.View) {
	f.fail <- status.Error(codes.Unavailable, "the controller restarts")
	f.views <- next
}

// TestViewOutlivesTheController proves that the last view stays while the controller is away, and that a new one replaces it.
func TestViewOutlivesTheController(t *testing.T) {
	f, c := start(t)
	if _, ok := c.View(); ok {
		t.Error("a view before the controller said anything")
	}
	f.views <- &protocol.View{Revision: 1, UnknownPolicy: "hold", Servers: []*protocol.Server{{Name: "a", Target: "Agent", BootId: "b1", Macs: []string{"x"}}}}
	settle(f, &protocol.View{Revision: 2})
	v, ok := c.View()
	if !ok || v.Revision < 1 {
		t.Fatalf("view %+v, %v while the controller was away", v, ok)
	}
	settle(f, &protocol.View{Revision: 3})
	if v, _ := c.View(); v.Revision < 2 {
		t.Fatalf("revision %d, want at least 2", v.Revision)
	}
	if f.opened < 3 {
		t.Errorf("%d streams were opened, want 3", f.opened)
	}
}

// TestMalformedView proves that a malformed view changes nothing, and that the client asks again.
func TestMalformedView(t *testing.T) {
	f, c := start(t)
	f.views <- &protocol.View{Revision: 1}
	f.views <- &protocol.View{Revision: 2, Servers: []*protocol.Server{{Name: "a"}, {Name: "a"}}}
	f.views <- &protocol.View{Revision: 3} // taken by a new stream: the client left the first
	settle(f, &protocol.View{Revision: 4})
	if v, ok := c.View(); !ok || v.Revision == 2 {
		t.Errorf("view %+v, %v", v, ok)
	}
}

func TestReport(t *testing.T) {
	f, c := start(t)
	if err := c.Report(context.Background(), []*protocol.BootEvent{{BootId: "b1"}, {BootId: "b2"}}); err != nil {
		t.Fatal(err)
	}
	if len(f.events) != 2 || f.events[1].GetBootId() != "b2" {
		t.Errorf("got %v", f.events)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Report(ctx, nil); status.Code(errors.Unwrap(err)) != codes.Canceled {
		t.Errorf("canceled report: %v", err)
	}
}

func TestViewOf(t *testing.T) {
	v, err := controller.ViewOf(&protocol.View{
		UnknownPolicy: "register-once", Revision: 7,
		Agent: &protocol.AgentBoot{Url: "https://u", Pin: "p", Args: []string{"quiet"}},
		Servers: []*protocol.Server{{Name: "n", Macs: []string{"m"}, Manufacturer: "v", Serial: "s", Uuid: "u", Accepted: true, Registered: true, Target: "Idle", BootId: "b", Os: &protocol.OSBoot{
			Arch: "amd64", Kernel: digestA, Initramfs: digestB, Args: []string{"quiet"},
		}}},
		Assets: []*protocol.Asset{{Sha256: digestA, Url: "https://h/k"}, {Sha256: digestB, Url: "https://h/i"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := v.Servers[0]
	if v.Policy != boot.RegisterOnce || v.Revision != 7 || v.AgentURL != "https://u" || v.AgentPin != "p" || v.AgentArgs[0] != "quiet" ||
		s.Name != "n" || s.MACs[0] != "m" || s.Manufacturer != "v" || s.Serial != "s" || s.UUID != "u" || !s.Accepted || !s.Registered || s.Target != boot.Idle || s.BootID != "b" {
		t.Errorf("got %+v", v)
	}
	if o := s.OS; o == nil || o.Arch != "amd64" || o.Kernel != digestA || o.Initramfs != digestB || o.UKI != "" || len(o.Args) != 1 {
		t.Errorf("OS %#v", o)
	}
	if len(v.Files) != 2 || v.Files[digestA] != (boot.File{URL: "https://h/k"}) || v.Files[digestB] != (boot.File{URL: "https://h/i", Initramfs: true}) || v.AtHand != nil {
		t.Errorf("files %v, at hand %v", v.Files, v.AtHand)
	}
}

var digestA, digestB = strings.Repeat("a", 64), strings.Repeat("b", 64)

// TestMalformedOS: what one server cannot boot is nothing to boot, and every other server of the view is as it was.
func TestMalformedOS(t *testing.T) {
	for name, change := range map[string]func(*protocol.OSBoot){
		"control":       func(*protocol.OSBoot) {},
		"short digest":  func(o *protocol.OSBoot) { o.Kernel = "aa" },
		"upper case":    func(o *protocol.OSBoot) { o.Initramfs = strings.Repeat("A", 64) },
		"a path":        func(o *protocol.OSBoot) { o.Uki = "../../etc/passwd" },
		"many args":     func(o *protocol.OSBoot) { o.Args = make([]string, 73) },
		"long argument": func(o *protocol.OSBoot) { o.Args = []string{strings.Repeat("x", 1025)} },
	} {
		o := &protocol.OSBoot{Arch: "amd64", Kernel: digestA, Initramfs: digestB, Args: []string{strings.Repeat("x", 1024)}}
		change(o)
		v, err := controller.ViewOf(&protocol.View{Servers: []*protocol.Server{{Name: "a", Target: "OS", Os: o}, {Name: "b", Target: "Agent"}}})
		if err != nil || len(v.Servers) != 2 || (v.Servers[0].OS != nil) != (name == "control") {
			t.Errorf("%s: %+v, %v", name, v.Servers, err)
		}
	}
}

func TestReportSite(t *testing.T) {
	f, c := start(t)
	if err := c.ReportSite(t.Context(), []*protocol.AssetState{{Sha256: digestA, State: "Cached"}}, []*protocol.Network{{Interface: "eth1", Trouble: "NoDHCPServer"}}); err != nil {
		t.Fatal(err)
	}
	if len(f.assets) != 1 || f.assets[0].GetState() != "Cached" {
		t.Errorf("got %v", f.assets)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.ReportSite(ended, nil, nil); err == nil {
		t.Error("a report that was not taken is no error")
	}
}

// TestConnected: each stream that brings a view is told, and so is each view.
func TestConnected(t *testing.T) {
	f, c := start(t)
	f.views <- &protocol.View{Revision: 1}
	<-c.Connected()
	<-c.Changed()
	f.views <- &protocol.View{Revision: 2}
	<-c.Changed()
	select {
	case <-c.Connected():
		t.Error("a second view is no new connection")
	default:
	}
	settle(f, &protocol.View{Revision: 3})
	<-c.Connected()
}

func TestViewOfRefuses(t *testing.T) {
	for name, m := range map[string]*protocol.View{
		"no name":    {Servers: []*protocol.Server{{}}},
		"twice":      {Servers: []*protocol.Server{{Name: "a"}, {Name: "a"}}},
		"many MACs":  {Servers: []*protocol.Server{{Name: "a", Macs: make([]string, 65)}}},
		"many args":  {Agent: &protocol.AgentBoot{Args: make([]string, 65)}},
		"many files": {Assets: make([]*protocol.Asset, 513)},
		"no digest":  {Assets: []*protocol.Asset{{Sha256: "x", Url: "https://h/k"}}},
		"long URL":   {Assets: []*protocol.Asset{{Sha256: digestA, Url: strings.Repeat("x", 2049)}}},
		"many nodes": {Servers: make([]*protocol.Server, 50_001)},
	} {
		if _, err := controller.ViewOf(m); !errors.Is(err, controller.ErrView) {
			t.Errorf("%s: %v, want ErrView", name, err)
		}
	}
	if _, err := controller.ViewOf(nil); err != nil {
		t.Errorf("an empty view is legal: %v", err)
	}
}
