package bootserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/test/bufconn"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/bootserver"
	"ingot.dev/ingot/pxe-server/protocol"
)

// remote is a client with the certificate of a site, over mutual TLS.
func (b *bench) remote(t *testing.T, site string) protocol.BootClient {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := authority.Leaf{CommonName: "site:" + site, URI: bootserver.SiteURI("x", site), Usage: x509.ExtKeyUsageClientAuth, Valid: time.Hour}
	der, err := b.authority.Sign(key.Public(), leaf, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.EncodeCertificate(b.authority.DER()))
	pipe, g := bufconn.Listen(64<<10), b.server.GRPC()
	served := make(chan error)
	go func() { served <- g.Serve(pipe) }()
	conn, err := grpc.NewClient("passthrough:///"+bootserver.ServerName,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: bootserver.ServerName, Time: func() time.Time { return now },
			Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return protocol.NewBootClient(conn)
}

func at(s metal.Server, site string) metal.Server {
	s.Spec.Location = &metal.Location{Site: site, Rack: "r1"}
	return s
}

// sees are the names in the first view of a client.
func sees(t *testing.T, c protocol.BootClient) (names []string) {
	t.Helper()
	stream, err := c.WatchView(t.Context(), &protocol.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.GetServers() {
		names = append(names, s.GetName())
	}
	return names
}

// TestSites: the certificate of a site gets the Servers of its site, and those that nobody placed. The control: the same Servers for the other site, and all of
// them for the pxe-server in the same process.
func TestSites(t *testing.T) {
	b := newBench(t)
	nowhere := server("d", metal.BootTargetAgent)
	nowhere.Spec.Location = &metal.Location{Rack: "r1"}
	b.cache.set(at(server("a", metal.BootTargetAgent), "north"), at(server("b", metal.BootTargetAgent), "south"), server("c", metal.BootTargetAgent), nowhere)
	south := b.remote(t, "south")
	for name, tc := range map[string]struct {
		client protocol.BootClient
		want   []string
	}{
		"north":           {b.remote(t, "north"), []string{"a", "c", "d"}},
		"south":           {south, []string{"b", "c", "d"}},
		"local":           {b.remote(t, "local"), []string{"c", "d"}}, // the name of a site as any other
		"in this process": {b.client, []string{"a", "b", "c", "d"}},
	} {
		if got := sees(t, tc.client); !slices.Equal(got, tc.want) {
			t.Errorf("%s sees %v; want %v", name, got, tc.want)
		}
	}
	stream, err := south.WatchView(t.Context(), &protocol.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	b.cache.set(at(server("a", metal.BootTargetLocalDisk), "north"), at(server("b", metal.BootTargetAgent), "south"), server("c", metal.BootTargetAgent), nowhere)
	b.changes.Changed("a") // of no interest to this site: no view comes of it
	b.cache.set(at(server("a", metal.BootTargetLocalDisk), "south"), at(server("b", metal.BootTargetAgent), "south"))
	b.changes.Changed("a")
	second, err := stream.Recv()
	if err != nil || len(second.GetServers()) != 2 || second.GetServers()[0].GetTarget() != "LocalDisk" || second.GetRevision() <= first.GetRevision() {
		t.Errorf("a Server that moved here: %v, %v", second, err)
	}
}

// TestConfigOfAnotherSite: the capability for a machine config goes to the site of the Server alone.
func TestConfigOfAnotherSite(t *testing.T) {
	b := newBench(t)
	s := at(*bootingOS(b.cache), "north")
	b.cache.set(s)
	for site, want := range map[string]bool{"north": true, "south": false} {
		stream, err := b.remote(t, site).WatchView(t.Context(), &protocol.WatchViewRequest{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := stream.Recv()
		if err != nil || (len(v.GetServers()) == 1 && len(v.GetServers()[0].GetOs().GetArgs()) > 0) != want {
			t.Errorf("%s got %v, %v", site, v.GetServers(), err)
		}
	}
}

// TestReportOfAnotherSite: what a site tells of another one's Servers counts for nothing, and what it tells of its own in the same report does.
func TestReportOfAnotherSite(t *testing.T) {
	b := newBench(t)
	b.cache.set(at(server("a", metal.BootTargetAgent), "north"), at(server("b", metal.BootTargetAgent), "south"), at(server("b2", metal.BootTargetAgent), "south"))
	script := []*protocol.Stage{{Stage: "Script", AtMicros: now.UnixMicro()}}
	_, err := b.remote(t, "south").Report(t.Context(), &protocol.ReportRequest{Events: []*protocol.BootEvent{
		{BootId: "b1", Server: "a", Target: "Agent", Stages: script},
		{BootId: "b1", Server: "a", SecondSource: true},
		{Server: "a", Target: "LocalDisk"},
		{Conflict: []string{"a", "b"}},
		{BootId: "b2", Server: "b", Target: "Agent", Stages: script},
		{BootId: "b2", Server: "b", SecondSource: true},
		{Server: "b", Target: "LocalDisk"},
		{Conflict: []string{"b", "b2"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"a": 0, "b": 1} {
		if got := b.sightings.Boots(name); len(got) != want {
			t.Errorf("boots of %s: %+v", name, got)
		}
		if got := b.sightings.LocalBoots(name, time.Hour); got != want {
			t.Errorf("%d boots of its own disk of %s", got, name)
		}
		if got := b.sightings.Conflicts(name); len(got) != want {
			t.Errorf("conflicts of %s: %v", name, got)
		}
	}
	if !slices.Equal(b.voided, []string{"b b2"}) {
		t.Errorf("voided %q", b.voided)
	}
}

// TestToldLate: what was seen while the site was isolated stands in the timeline at its time, by our clock, and says nothing of how a system fares now.
func TestToldLate(t *testing.T) {
	const hour = int64(time.Hour / time.Microsecond)
	ours := now.UnixMicro()
	for name, tc := range map[string]struct {
		sent, at, want int64
		counts         int // as a boot that happens now
	}{
		"just now":                           {ours, ours - 1e6, ours - 1e6, 1},
		"hours ago":                          {ours, ours - 5*hour, ours - 5*hour, 0},
		"hours ago, a clock two days behind": {ours - 48*hour, ours - 53*hour, ours - 5*hour, 0},
		"just now, a clock two days ahead":   {ours + 48*hour, ours + 48*hour - 1e6, ours - 1e6, 1},
		"a clock that is near":               {ours - 60e6, ours - 5*hour, ours - 5*hour, 0},
		"a clock of 1970":                    {hour, hour / 2, ours - hour/2, 0},
		"from the future":                    {ours, ours + hour, ours, 1},
		"of a year ago":                      {ours, ours - 365*24*hour, ours, 1},
		"without its time, as before":        {0, ours - 5*hour, ours, 1},
	} {
		b := newBench(t)
		b.cache.set(server("a", metal.BootTargetLocalDisk))
		report := func(target string) {
			_, err := b.client.Report(t.Context(), &protocol.ReportRequest{SentAtMicros: tc.sent, Events: []*protocol.BootEvent{
				{BootId: "b1", Server: "a", Target: target, Stages: []*protocol.Stage{{Stage: "Script", AtMicros: tc.at}}},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		report("LocalDisk")
		if got := b.sightings.LocalBoots("a", time.Hour); got != tc.counts {
			t.Errorf("%s: it counts as %d boots", name, got)
		}
		if got := b.sightings.Boots("a"); len(got) != 1 || got[0].Stages[0].At.UnixMicro() != tc.want {
			t.Errorf("%s: %+v; want it %v before now", name, got, time.Duration(ours-tc.want)*time.Microsecond)
		}
	}
}
