package bootserver_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/bootfiles"
	"ingot.dev/ingot/metal-controller/bootserver"
	"ingot.dev/ingot/metal-controller/networks"
	"ingot.dev/ingot/metal-controller/notify"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/pxe-server/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// cache is the informer cache of a test: plain lists.
type cache struct {
	mu           sync.Mutex
	servers      []metal.Server
	environments []metal.Environment
	inventories  []metal.ServerInventory
}

func (c *cache) set(servers ...metal.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = servers
}

func (c *cache) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l := list.(type) {
	case *metal.ServerList:
		for i := range c.servers {
			l.Items = append(l.Items, *c.servers[i].DeepCopy())
		}
	case *metal.EnvironmentList:
		l.Items = slices.Clone(c.environments)
	case *metal.ServerInventoryList:
		l.Items = slices.Clone(c.inventories)
	}
	return nil
}

func (c *cache) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.servers {
		if c.servers[i].Name == key.Name {
			c.servers[i].DeepCopyInto(into.(*metal.Server))
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "servers"}, key.Name)
}

func server(name string, target metal.BootTarget) metal.Server {
	return metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: metal.ServerStatus{Boot: &metal.BootStatus{Target: target}}}
}

// bench is a server with its client in process.
type bench struct {
	cache     *cache
	changes   *notify.Hub
	sightings *sightings.Store
	files     *bootfiles.Store
	networks  []networks.Change
	authority *authority.Authority
	server    *bootserver.Server
	client    protocol.BootClient // in the same process
	voided    []string
	voidErr   error
	stuck     string // the Server that cannot be written
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{cache: &cache{}, changes: &notify.Hub{}}
	clock := func() time.Time { return now }
	b.sightings, b.files = sightings.New(clock), bootfiles.NewStore(clock)
	root, key, err := authority.New("pxe", now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if b.authority, err = authority.Parse(root, key); err != nil {
		t.Fatal(err)
	}
	s := bootserver.New(bootserver.Config{
		Authority: b.authority, Installation: "x", Reader: b.cache, Policy: "register-once", Agent: &protocol.AgentBoot{Url: "https://a", Pin: "p"}, Links: links(t), Sightings: b.sightings, Files: b.files,
		Networks: networks.NewStore(clock, func(c networks.Change) { b.networks = append(b.networks, c) }),
		Void: func(_ context.Context, server, bootID string) error {
			if server == b.stuck {
				return errors.New("it cannot be written")
			}
			b.voided = append(b.voided, server+" "+bootID)
			return b.voidErr
		},
		Changes: b.changes, Now: clock, Random: rand.Reader, Log: logr.Discard(),
	})
	c, stop, err := s.Local()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	b.client, b.server = c, s
	return b
}

// TestView: the first view at once, another after a change that matters, none after one that does not; revisions grow.
func TestView(t *testing.T) {
	b := newBench(t)
	b.cache.set(server("a", metal.BootTargetAgent))
	stream, err := b.client.WatchView(t.Context(), &protocol.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || len(first.Servers) != 1 || first.Agent.Pin != "p" || first.UnknownPolicy != "register-once" {
		t.Fatalf("%v %v", first, err)
	}
	quiet := server("a", metal.BootTargetAgent)
	quiet.Status.Power = &metal.PowerStatus{State: metal.PowerOn} // of no interest to a booting machine
	b.cache.set(quiet)
	b.changes.Changed("a")
	b.cache.set(quiet, server("b", metal.BootTargetLocalDisk))
	b.changes.Changed("b")
	second, err := stream.Recv()
	if err != nil || len(second.Servers) != 2 || second.Servers[1].Target != "LocalDisk" || second.Revision <= first.Revision {
		t.Fatalf("%v %v", second, err)
	}
	other, err := b.client.WatchView(t.Context(), &protocol.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := other.Recv(); err != nil || v.Revision != second.Revision {
		t.Errorf("another stream got revision %d, %v; want %d", v.GetRevision(), err, second.Revision)
	}
}

// TestCoalesce: a storm of changes becomes few views, and the last one is complete.
func TestCoalesce(t *testing.T) {
	b := newBench(t)
	stream, err := b.client.WatchView(t.Context(), &protocol.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	var all []metal.Server
	for i := range 500 {
		all = append(all, server(fmt.Sprintf("s%03d", i), metal.BootTargetAgent))
		b.cache.set(all...)
		b.changes.Changed(all[i].Name)
	}
	for views := 1; ; views++ {
		v, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Servers) == 500 {
			if views > 100 {
				t.Errorf("%d views for one storm", views)
			}
			return
		}
	}
}

// TestReport: what makes sense gets into the timeline, what does not is dropped, and none of it is believed blindly.
func TestReport(t *testing.T) {
	b := newBench(t)
	b.cache.set(server("a", metal.BootTargetAgent), server("b", metal.BootTargetAgent))
	at := now.Add(-time.Second).UnixMicro()
	stage := func(name string, micros int64) *protocol.Stage { return &protocol.Stage{Stage: name, AtMicros: micros} }
	_, err := b.client.Report(t.Context(), &protocol.ReportRequest{Events: []*protocol.BootEvent{
		{BootId: "b1", Server: "a", Firmware: "uefi-pxe", Target: "Agent", Stages: []*protocol.Stage{stage("DHCP", at), stage("Script", 0), stage("<script>", at)}},
		{BootId: "b2", Server: "made-up", Stages: []*protocol.Stage{stage("DHCP", at)}},
		{BootId: "bad id\n", Server: "b", Firmware: strings.Repeat("x", 1000), Target: "Wipe"},
		{BootId: "b3", Server: "b", Firmware: strings.Repeat("x", 1000), Target: "Wipe"},
		{Conflict: []string{"a", "b", "made-up"}},
		nil,
	}})
	if err != nil {
		t.Fatal(err)
	}
	boots := b.sightings.Boots("a")
	if len(boots) != 1 || boots[0].Firmware != "uefi-pxe" || len(boots[0].Stages) != 2 || !boots[0].Stages[1].At.Time.Equal(now) {
		t.Errorf("timeline of a: %+v", boots)
	}
	_, err = b.client.Report(t.Context(), &protocol.ReportRequest{Events: []*protocol.BootEvent{ // and now it has a system
		{Server: "a", Firmware: "uefi-pxe", Target: "LocalDisk", Stages: []*protocol.Stage{stage("DHCP", at+2e6), stage("FirstStage", at+3e6), stage("Script", at+4e6)}},
	}})
	if boots = b.sightings.Boots("a"); err != nil || len(boots) != 1 || len(boots[0].Stages) != 4 ||
		boots[0].Stages[2].Stage != metal.StageRestarted || boots[0].Stages[3].Stage != metal.StageLocalDisk || boots[0].Stages[3].At.UnixMicro() != at+4e6 {
		t.Errorf("timeline of a after its restart: %+v, %v", boots, err)
	}
	if boots := b.sightings.Boots("b"); len(boots) != 1 || boots[0].Target != "" || boots[0].Firmware != "" {
		t.Errorf("timeline of b: %+v", boots)
	}
	if b.sightings.Boots("made-up") != nil {
		t.Error("a made-up Server is remembered")
	}
	if got := b.sightings.Conflicts("a"); len(got) != 1 || got[0] != "b" {
		t.Errorf("conflicts of a: %v", got)
	}
}

// TestReportUnserved: a pxe-server that has no agent image for a server's machine is heard, unless it makes no sense or is old, until it tells otherwise.
func TestReportUnserved(t *testing.T) {
	b := newBench(t)
	b.cache.set(server("a", metal.BootTargetAgent))
	old := []*protocol.Stage{{Stage: "Script", AtMicros: now.Add(-5 * time.Minute).UnixMicro()}}
	for i, c := range []struct {
		e    *protocol.BootEvent
		want string
	}{
		{&protocol.BootEvent{Server: "a", Target: "Idle", Unserved: "AgentImageMissing", Arch: "mips"}, ""},
		{&protocol.BootEvent{Server: "a", Target: "Idle", Unserved: "WipeIt", Arch: "arm64"}, ""},
		{&protocol.BootEvent{Server: "made-up", Target: "Idle", Unserved: "AgentImageMissing", Arch: "arm64"}, ""},
		{&protocol.BootEvent{Server: "a", Target: "Idle", Unserved: "AgentImageMissing", Arch: "arm64", Stages: old}, ""},
		{&protocol.BootEvent{Server: "a", Target: "Idle", Unserved: "AgentImageMissing", Arch: "arm64"}, "AgentImageMissing arm64"},
		{&protocol.BootEvent{Server: "a", Target: "Agent", Stages: old}, "AgentImageMissing arm64"},
		{&protocol.BootEvent{Server: "a", Target: "Agent", BootId: "b1"}, ""},
	} {
		if _, err := b.client.Report(t.Context(), &protocol.ReportRequest{SentAtMicros: now.UnixMicro(), Events: []*protocol.BootEvent{c.e}}); err != nil {
			t.Fatal(err)
		}
		reason, arch := b.sightings.WhyUnserved("a")
		if got := strings.TrimSpace(reason + " " + arch); got != c.want {
			t.Errorf("after %d: %q, want %q", i, got, c.want)
		}
		if reason, _ := b.sightings.WhyUnserved("made-up"); reason != "" {
			t.Error("a made-up Server is remembered")
		}
	}
}

// TestSecondSource: a boot whose script two addresses fetched is ended, for a Server that exists; while that cannot be written the report is not taken.
func TestSecondSource(t *testing.T) {
	b := newBench(t)
	b.cache.set(server("a", metal.BootTargetAgent))
	report := func(events ...*protocol.BootEvent) error {
		_, err := b.client.Report(t.Context(), &protocol.ReportRequest{Events: events})
		return err
	}
	if err := report(
		&protocol.BootEvent{BootId: "b1", Server: "a"},
		&protocol.BootEvent{BootId: "b1", Server: "made-up", SecondSource: true},
		&protocol.BootEvent{BootId: "b1", SecondSource: true},
		&protocol.BootEvent{BootId: "bad id", Server: "a", SecondSource: true},
		&protocol.BootEvent{Server: "a", SecondSource: true},
	); err != nil || len(b.voided) != 0 {
		t.Errorf("voided %q, %v", b.voided, err)
	}
	if err := report(&protocol.BootEvent{BootId: "b1", Server: "a", SecondSource: true}); err != nil || !slices.Equal(b.voided, []string{"a b1"}) {
		t.Errorf("control: voided %q, %v", b.voided, err)
	}
	b.voidErr = errors.New("no")
	if err := report(&protocol.BootEvent{BootId: "b1", Server: "a", SecondSource: true}); status.Code(err) != codes.Unavailable {
		t.Errorf("while it cannot be written: %v; want Unavailable", err)
	}
	// One Server that cannot be written keeps no other boot alive: the report comes again as a whole, for ever.
	b.cache.set(server("a", metal.BootTargetAgent), server("b", metal.BootTargetAgent))
	b.voided, b.voidErr = nil, nil
	b.stuck = "a"
	err := report(&protocol.BootEvent{BootId: "b1", Server: "a", SecondSource: true}, &protocol.BootEvent{BootId: "b2", Server: "b", SecondSource: true})
	if status.Code(err) != codes.Unavailable || !slices.Equal(b.voided, []string{"b b2"}) {
		t.Errorf("voided %q, %v; want the other Server's, and Unavailable", b.voided, err)
	}
}

func TestReportBounds(t *testing.T) {
	b := newBench(t)
	_, err := b.client.Report(t.Context(), &protocol.ReportRequest{Events: make([]*protocol.BootEvent, 256)})
	if err != nil {
		t.Errorf("control: %v", err)
	}
	if _, err := b.client.Report(t.Context(), &protocol.ReportRequest{Events: make([]*protocol.BootEvent, 257)}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("too many events: %v", err)
	}
	huge := &protocol.ReportRequest{Events: []*protocol.BootEvent{{BootId: strings.Repeat("x", 2<<20)}}}
	if _, err := b.client.Report(t.Context(), huge); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("2 MiB: %v", err)
	}
}

// TestNetworks: what a pxe-server tells of its networks is kept under its site; a report of boots alone changes nothing of it, and too long a list is refused.
func TestNetworks(t *testing.T) {
	b := newBench(t)
	bad := []*protocol.Network{{Interface: "eth1", Trouble: reasons.OtherDHCPServer, Servers: []string{"192.0.2.2"}}}
	for _, r := range []*protocol.ReportRequest{{Networks: bad}, {}, {Networks: bad}} {
		if _, err := b.client.Report(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.networks) != 1 || b.networks[0].Site != "local" || b.networks[0].Trouble != reasons.OtherDHCPServer || b.networks[0].Servers[0] != "192.0.2.2" {
		t.Errorf("told %+v", b.networks)
	}
	if _, err := b.client.Report(t.Context(), &protocol.ReportRequest{Networks: make([]*protocol.Network, 65)}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("65 networks: %v", err)
	}
}
