package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	driver "ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/setup"
	pxe "ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // controller-runtime's own, for what is not the controller
	os.Exit(testapi.Main(m))
}

// patience is how long a condition may take on a loaded machine. No test measures time.
const patience = 60 * time.Second

// world is the real controller with all of its ports, in this process, on a real API server.
type world struct {
	*testing.T
	setup.Services
	admin, ingot client.WithWatch
	log          journal
	ahead        atomic.Int64 // of the controller's clock
}

// journal is what the controller logs.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		j.mu.Lock()
		defer j.mu.Unlock()
		fmt.Fprintln(&j.buf, prefix, args)
	}, funcr.Options{})
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// newWorld runs the controller until the test ends.
func newWorld(t *testing.T, changes ...func(*setup.Config)) *world {
	t.Helper()
	w := &world{T: t, admin: connect(t, testapi.Config(t).AdminConfig), ingot: connect(t, testapi.Config(t).ControllerConfig)}
	ready, ended := make(chan setup.Services, 1), make(chan error, 1)
	cfg := setup.Config{
		REST: rest.CopyConfig(testapi.Config(t).ControllerConfig), AgentURL: "https://127.0.0.1:8443", Log: w.log.logger(),
		AgentListen: "127.0.0.1:0", BootListen: "127.0.0.1:0", ConfigListen: "127.0.0.1:0", PlainConfigListen: "127.0.0.1:0", EventsListen: "127.0.0.1:0",
		OpenBMC: func(context.Context, driver.Target) (driver.Driver, error) { return &power{}, nil },
		Now:     func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
		Ready:   func(s setup.Services) { ready <- s },
	}
	for _, change := range changes {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- setup.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended: %v", err)
		}
		for _, kind := range []client.Object{&metal.Server{}, &metal.ServerInventory{}} {
			if err := w.admin.DeleteAllOf(context.Background(), kind); err != nil {
				t.Error(err)
			}
		}
	})
	select {
	case w.Services = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the controller did not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the controller did not become ready")
	}
	return w
}

func connect(t *testing.T, cfg *rest.Config) client.WithWatch {
	t.Helper()
	scheme, err := setup.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// power is an honest BMC; the plane opens one for each server, so its state is enough.
type power struct{ on atomic.Bool }

func (p *power) Power(context.Context) (driver.PowerState, error) {
	if p.on.Load() {
		return driver.On, nil
	}
	return driver.Off, nil
}

func (p *power) SetPower(_ context.Context, want driver.PowerState) error {
	p.on.Store(want == driver.On)
	return nil
}

func (*power) Shutdown(context.Context) error             { return nil }
func (*power) SetBootNetwork(context.Context, bool) error { return nil }
func (*power) Close(context.Context) error                { return nil }

// patch changes a Server as a person would.
func (w *world) patch(name, merge string) {
	w.Helper()
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.admin.Patch(w.Context(), s, client.RawPatch("application/merge-patch+json", []byte(merge))); err != nil {
		w.Fatal(err)
	}
}

// pass lets time pass for the controller: its clock moves, and the server is looked at again.
func (w *world) pass(name string, d time.Duration) {
	w.patch(name, fmt.Sprintf(`{"metadata":{"annotations":{"test/poke":"%d"}}}`, w.ahead.Add(int64(d))))
}

// eventually waits until check holds for the Server.
func (w *world) eventually(name string, check func(*metal.Server) bool) *metal.Server {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	events, err := w.admin.Watch(ctx, &metal.ServerList{})
	if err != nil {
		w.Fatal(err)
	}
	defer events.Stop()
	var last *metal.Server
	for e := range events.ResultChan() {
		if s, ok := e.Object.(*metal.Server); ok && s.Name == name {
			if last = s; check(s) {
				return s
			}
		}
	}
	w.Fatalf("%s did not get there; last seen: %+v", name, last)
	return nil
}

// record is what Ingot wrote down about a server, as text.
func (w *world) record(name string) string {
	w.Helper()
	var s metal.Server
	if err := w.admin.Get(w.Context(), client.ObjectKey{Name: name}, &s); err != nil {
		w.Fatal(err)
	}
	text, err := json.Marshal(s.Spec)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// view waits for what the pxe-servers are told, from the view on for which check holds.
func (w *world) view(check func(*pxe.View) bool) *pxe.View {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	stream, err := w.Boot.WatchView(ctx, &pxe.WatchViewRequest{})
	if err != nil {
		w.Fatal(err)
	}
	for {
		v, err := stream.Recv()
		if err != nil {
			w.Fatalf("waiting for a view: %v", err)
		}
		if check(v) {
			return v
		}
	}
}

func (w *world) pin() string {
	return w.view(func(*pxe.View) bool { return true }).Agent.Pin
}

// victim is an accepted server whose disk full of data a person gave up, in the boot that Ingot began for it.
type victim struct {
	name, mac, site string
	boot            string
	// task is the wipe that its agent was given.
	task *agent.Wipe
	// before is an agent that enrolled before acceptance, its identity revoked since; own is the claimant of the boot.
	before, own *machine
}

// newVictim takes a server from its declaration to the wipe.
func (w *world) newVictim(name, mac string) *victim {
	w.Helper()
	v := &victim{name: name, mac: mac, site: "r1"}
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}, StringData: map[string]string{"username": "u", "password": "p"}},
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{
			Identity: &metal.Identity{MACs: []string{mac}}, Location: &metal.Location{Site: v.site}, BMCSetup: "Never",
			BMC: &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: "192.0.2.9", CredentialsSecret: name},
		}},
	} {
		if err := w.admin.Create(w.Context(), o); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() { _ = w.admin.Delete(context.Background(), o) })
	}
	w.view(func(view *pxe.View) bool { return target(view, name) != "" })
	v.before = w.enrol("b-before", mac)
	at := time.Now().UTC().Format(time.RFC3339)
	w.patch(name, fmt.Sprintf(`{"spec":{"accepted":true,"acceptRequest":{"id":"a1","requestedAt":%q,"wipeData":[{"wwid":"naa.%s","serial":"S-%s"}]}}}`, at, name, name))
	s := w.eventually(name, func(s *metal.Server) bool {
		return s.Spec.Record != nil && s.Spec.Record.Boot != nil && s.Spec.Record.Boot.Phase == metal.BootBooting
	})
	v.boot = s.Spec.Record.Boot.ID
	if v.own = w.enrol(v.boot, mac); v.own.trust != 1 {
		w.Fatalf("the claimant has the trust level %d", v.own.trust)
	}
	v.own.must(v.own.client.ReportInventory(w.Context(), &agent.ReportInventoryRequest{Inventory: v.hardware()}))
	stream, err := v.own.client.Watch(w.Context(), &agent.WatchRequest{})
	if err != nil {
		w.Fatal(err)
	}
	w.pass(name, 20*time.Second)
	for v.task == nil {
		d, err := stream.Recv()
		if err != nil {
			w.Fatalf("no task came: %v", err)
		}
		v.task = d.GetWipe()
	}
	return v
}

func target(v *pxe.View, name string) string {
	for _, s := range v.Servers {
		if s.Name == name {
			return s.Target
		}
	}
	return ""
}

// hardware of the victim: one disk with data.
func (v *victim) hardware() *agent.Inventory {
	return &agent.Inventory{
		Arch:  "amd64",
		Nics:  []*agent.NIC{{Name: "eth0", Mac: v.mac, PermanentMac: v.mac, PciAddress: "0000:00:01.0"}},
		Disks: []*agent.Disk{{Name: "sda", Wwid: "naa." + v.name, Serial: "S-" + v.name, SizeBytes: 1 << 30, Transport: "sata", PciAddress: "0000:00:02.0", Contents: "Data"}},
	}
}
