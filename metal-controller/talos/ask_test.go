package talos_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	uuid  = "6f1f1a5e-0001-4000-8000-00000000000a"
	local = "127.0.0.1:0"
	stop  = "MachineStatuses.runtime.talos.dev"
)

var (
	epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	want  = talos.Machine{UUID: uuid, Serial: "SN1"}
)

// up is a machine that runs from its disk.
func up() talostest.State {
	return talostest.State{Tag: "v1.13.0", UUID: strings.ToUpper(uuid), Serial: "SN1", Cmdline: "talos.platform=metal talos.config=https://192.0.2.1/x", OnDisk: true, Stage: enums.RuntimeMachineStage_MACHINE_STAGE_RUNNING}
}

func client(port int) talos.Client {
	return talos.Client{Now: func() time.Time { return epoch }, BootArg: "ingot.boot", Port: port}
}

func ask(t *testing.T, m *talostest.Machine, own talos.Credentials) (talos.Answer, error) {
	t.Helper()
	return client(m.Port).Ask(t.Context(), netip.MustParseAddr("127.0.0.1"), own)
}

func credentials(t *testing.T, c *talostest.Cluster, role string) talos.Credentials {
	t.Helper()
	own, err := talos.ParseTalosconfig(c.Talosconfig(role))
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// TestProven: the right machine from its disk is proven to run, with either kind of credentials; what is asked last is the stage.
func TestProven(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	made, err := talos.FromMachineConfig(c.ControlPlane(), talos.Reader, epoch, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, own := range map[string]talos.Credentials{"talosconfig": credentials(t, c, "os:admin"), "made": made} {
		m := c.Listen(t, local, up())
		a, err := ask(t, m, own)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if (a != talos.Answer{Version: "v1.13.0", Machine: want, OnDisk: true, Stage: talos.StageRunning}) {
			t.Errorf("%s: %+v", name, a)
		}
		if v := talos.Judge(a, want); !v.Installed || !v.Running || !v.Alive || v.Why != "" {
			t.Errorf("%s: %+v", name, v)
		}
		asked, roles := m.Asked()
		if len(asked) != 5 || asked[4] != stop || asked[3] != "SystemDisks.block.talos.dev" {
			t.Errorf("%s: asked %v", name, asked)
		}
		if role := map[string]string{"talosconfig": "os:admin", "made": "os:reader"}[name]; roles[0] != role {
			t.Errorf("%s: as %v", name, roles)
		}
	}
}

// TestRefused: whoever is not the cluster's, at its own address, gets no answer; each has its control in TestProven.
func TestRefused(t *testing.T) {
	ours, other := talostest.NewCluster(t, epoch), talostest.NewCluster(t, epoch)
	for name, c := range map[string]struct {
		m    *talostest.Machine
		own  talos.Credentials
		want error
	}{
		"another authority":           {other.Listen(t, local, up()), credentials(t, ours, "os:reader"), talos.ErrUntrusted},
		"a certificate for elsewhere": {ours.Listen(t, local, up(), net.ParseIP("192.0.2.9")), credentials(t, ours, "os:reader"), talos.ErrUntrusted},
		"a role that may not read":    {ours.Listen(t, local, up()), credentials(t, ours, "os:etcd:backup"), talos.ErrRefused},
		"no credentials":              {ours.Listen(t, local, up()), talos.Credentials{}, talos.ErrUntrusted},
	} {
		if a, err := ask(t, c.m, c.own); !errors.Is(err, c.want) || a != (talos.Answer{}) {
			t.Errorf("%s: %v, %+v", name, err, a)
		}
	}
	// A client of another cluster, whose roots are ours: apid ends the connection once TLS is done.
	if _, err := ask(t, ours.Listen(t, local, up()), mixed(t, ours, other)); !errors.Is(err, talos.ErrBroken) {
		t.Errorf("a client of another cluster: %v", err)
	}
	late := client(ours.Listen(t, local, up()).Port)
	late.Now = func() time.Time { return epoch.Add(48 * time.Hour) }
	if _, err := late.Ask(t.Context(), netip.MustParseAddr("127.0.0.1"), credentials(t, ours, "os:reader")); !errors.Is(err, talos.ErrUntrusted) {
		t.Errorf("a certificate that ended: %v", err)
	}
}

// mixed trusts one cluster, and shows a certificate of another.
func mixed(t *testing.T, trusts, shows *talostest.Cluster) talos.Credentials {
	t.Helper()
	own, err := talos.ParseTalosconfig([]byte(strings.Replace(string(shows.Talosconfig("os:admin")), shows.CA(), trusts.CA(), 1)))
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// TestHostile: a machine of the cluster that lies, stalls or floods costs a bounded time, and its words reach no error.
func TestHostile(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	own := credentials(t, c, "os:reader")
	for name, h := range map[string]struct {
		change func(*talostest.State)
		want   error
	}{
		"junk":     {func(s *talostest.State) { s.Raw = []byte{0xff, 0xff, 0xff} }, talos.ErrBroken},
		"a flood":  {func(s *talostest.State) { s.Cmdline = strings.Repeat("canary ", 1<<16) }, talos.ErrBroken},
		"an error": {func(s *talostest.State) { s.Before = fails(codes.Internal) }, talos.ErrBroken},
		"no facts": {func(s *talostest.State) { s.Before = fails(codes.NotFound) }, talos.ErrBroken},
		"refusal":  {func(s *talostest.State) { s.Before = fails(codes.PermissionDenied) }, talos.ErrRefused},
	} {
		m := c.Listen(t, local, up())
		if _, err := ask(t, m, own); err != nil {
			t.Fatalf("control: %v", err)
		}
		m.Set(h.change)
		if _, err := ask(t, m, own); !errors.Is(err, h.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := c.Listen(t, local, up())
	m.Set(func(s *talostest.State) { s.Tag, s.UUID = strings.Repeat("v\n", 100), strings.Repeat("é", 100) })
	if a, err := ask(t, m, own); err != nil || len(a.Version) != 64 || len(a.Machine.UUID) > 64 || strings.ContainsAny(a.Version+a.Machine.UUID, "\né") {
		t.Errorf("long words: %v, %+v", err, a)
	}
}

func fails(code codes.Code) func(context.Context, string) error {
	return func(context.Context, string) error { return status.Error(code, "canary") }
}

// TestSlow: a machine that never answers is given up with the caller's patience, and one that is not there at once.
func TestSlow(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	own := credentials(t, c, "os:reader")
	m := c.Listen(t, local, up())
	reached, ctx := make(chan string, 1), context.Background()
	ctx, cancel := context.WithCancel(ctx)
	m.Set(func(s *talostest.State) {
		s.Before = func(ctx context.Context, asked string) error {
			if asked == stop {
				reached <- asked
				<-ctx.Done()
			}
			return nil
		}
	})
	go func() { <-reached; cancel() }()
	if _, err := client(m.Port).Ask(ctx, netip.MustParseAddr("127.0.0.1"), own); !errors.Is(err, talos.ErrUnreachable) {
		t.Errorf("one that stalls: %v", err)
	}
	m.Stop()
	if _, err := ask(t, m, own); !errors.Is(err, talos.ErrUnreachable) {
		t.Errorf("one that is gone: %v", err)
	}
}

// TestOneConnection: what answers at the address after a restart is not asked for the rest of an answer, and for the next one it is.
func TestOneConnection(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	own := credentials(t, c, "os:reader")
	for range 10 {
		m := c.Listen(t, local, up())
		var next *talostest.Machine
		m.Set(func(s *talostest.State) {
			s.Before = func(_ context.Context, asked string) error {
				if asked == "SystemInformations.hardware.talos.dev" {
					free := make(chan struct{})
					m.Drain(free)
					<-free
					next = c.Listen(t, "127.0.0.1:"+strconv.Itoa(m.Port), up())
				}
				return nil
			}
		})
		if _, err := ask(t, m, own); err != nil && !errors.Is(err, talos.ErrBroken) {
			t.Fatal(err)
		}
		if asked, _ := next.Asked(); len(asked) != 0 {
			t.Fatalf("the next one was asked for %v", asked)
		}
		if a, err := ask(t, next, own); err != nil || a.Stage != talos.StageRunning {
			t.Fatalf("control: %v, %+v", err, a)
		}
	}
}

// TestSecretsHide: credentials and configs show nowhere.
func TestSecretsHide(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	own, config := credentials(t, c, "os:admin"), string(c.Talosconfig("os:admin"))
	holder := struct{ Own talos.Credentials }{own}
	text, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	if all := string(text) + fmt.Sprintf("%v %+v %#v %s %v %+v %#v", own, own, own, own, holder, holder, holder); strings.Count(all, "REDACTED") != 8 || len(all) > 200 {
		t.Error(all)
	}
	before, _, _ := strings.Cut(config, "key: ")
	for name, text := range map[string]string{
		"not YAML": "a: [canary", "no context": "context: canary\ncontexts: {}", "junk in it": strings.Replace(config, "key: ", "key: canary", 1),
		"another's key": before + "key: " + c.Key(), "no roots": strings.Replace(config, c.CA(), "Y2FuYXJ5", 1),
		"too large": config + strings.Repeat(" ", 1<<20),
	} {
		if _, err := talos.ParseTalosconfig([]byte(text)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, config := range map[string]string{
		"not YAML": "machine: {canary", "a string": "canary", "not an authority": strings.ReplaceAll(string(c.ControlPlane()), c.CA(), "Y2FuYXJ5"),
		"a leaf": "machine: {ca: {crt: " + field(config, "crt: ") + ", key: " + field(config, "key: ") + "}}",
	} {
		if _, err := talos.FromMachineConfig([]byte(config), talos.Reader, epoch, rand.Reader); err == nil || strings.Contains(err.Error(), "canary") || errors.Is(err, talos.ErrNoAuthority) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, config := range map[string]string{"worker": string(c.Worker()), "nothing": "", "other documents": "kind: X\nmachine: {ca: {crt: a, key: b}}\n"} {
		if _, err := talos.FromMachineConfig([]byte(config), talos.Reader, epoch, rand.Reader); !errors.Is(err, talos.ErrNoAuthority) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// field is the rest of a line of a talosconfig.
func field(config, name string) string {
	_, rest, _ := strings.Cut(config, name)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
