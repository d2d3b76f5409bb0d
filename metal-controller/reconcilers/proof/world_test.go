package proof_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/configserver"
	"ingot.dev/ingot/metal-controller/reconcilers/proof"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/metal-controller/talos/talostest"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const (
	here = "0123456789abcdef0123456789abcdef"
	uuid = "6f1f1a5e-0001-4000-8000-00000000000a"
)

// Stages, shortly.
const (
	installing = enums.RuntimeMachineStage_MACHINE_STAGE_INSTALLING
	booting    = enums.RuntimeMachineStage_MACHINE_STAGE_BOOTING
	running    = enums.RuntimeMachineStage_MACHINE_STAGE_RUNNING
)

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is a Server whose Talos got its config, on a real API server, asked as the controllers' identity, with a clock that only tests move.
type world struct {
	t            *testing.T
	admin, ingot client.Client
	cluster      *talostest.Cluster
	machine      *talostest.Machine
	sightings    *sightings.Store
	proof        *proof.Reconciler
	maker        configserver.Maker
	name         string
	claim        *metal.ServerClaim

	mu     sync.Mutex
	now    time.Time
	events []string
}

// setting is what differs between worlds.
type setting struct {
	args        []string // of the Environment; nil are a Talos'
	label       string   // of the claim: its cluster
	talosconfig string   // in the Secret of the cluster c1; empty makes none
	config      []byte   // nil is a worker's
	etcd        bool     // the claim asks for its bootstrap
	cluster     string   // that the record names
}

// Event remembers what was told.
func (w *world) Event(_ string, _ bool, reason, message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, reason+" "+message)
}

func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// newWorld has a machine that installs; its credentials are those of a labelled claim unless the setting says otherwise.
func newWorld(t *testing.T, change func(*world, *setting)) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(metal.AddToScheme(scheme), clientgoscheme.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: epoch, cluster: talostest.NewCluster(t, epoch)}
	var err error
	if w.admin, err = client.New(testapi.Config(t).AdminConfig, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if w.ingot, err = client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.machine = w.cluster.Listen(t, "127.0.0.1:0", talostest.State{Tag: "v1.13.0", UUID: uuid, Cmdline: "ingot.boot=boot1", Stage: installing})
	s := setting{label: "c1", talosconfig: string(w.cluster.Talosconfig("os:reader")), config: w.cluster.Worker()}
	if change != nil {
		change(w, &s)
	}
	w.declare(s)
	key, err := capability.NewKey(make([]byte, capability.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.sightings = sightings.New(w.clock)
	w.maker = configserver.Maker{Live: w.ingot, Links: capability.Links{Key: key, HTTPS: "https://192.0.2.1:7445"}, Now: w.clock, Random: rand.Reader}
	w.proof = w.leader()
	return w
}

// leader is a reconciler that remembers nothing.
func (w *world) leader() *proof.Reconciler {
	return &proof.Reconciler{
		Client: w.ingot, Live: w.ingot, Installation: here, Credentials: w.maker, Sightings: w.sightings, Events: w, Now: w.clock, Log: logr.Discard(),
		Asker: talos.Client{Now: w.clock, BootArg: capability.BootArg, Port: w.machine.Port},
	}
}

func (w *world) declare(s setting) {
	w.t.Helper()
	if s.args == nil {
		s.args = []string{"talos.platform=metal", "talos.config={config}"}
	}
	namespace := testapi.Namespace(w.t)
	w.name = namespace + "-x"
	name := metav1.ObjectMeta{Name: w.name}
	asset := &metal.Asset{URL: "http://files.example/a", SHA256: strings.Repeat("0", 64)}
	env := &metal.Environment{ObjectMeta: name, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64", Kernel: asset, Initramfs: asset, Args: s.args}}}}
	config := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}, Data: map[string][]byte{"value": s.config}}
	w.claim = &metal.ServerClaim{ObjectMeta: *config.ObjectMeta.DeepCopy(), Spec: metal.ServerClaimSpec{
		ClassName: w.name, ConfigSecret: "web", BootstrapEtcd: s.etcd, Binding: &metal.Binding{Server: w.name, BindingID: "bind1"},
	}}
	if s.label != "" {
		w.claim.Labels = map[string]string{"cluster.x-k8s.io/cluster-name": s.label}
	}
	w.create(w.admin, &metal.ServerClass{ObjectMeta: name}, env, config)
	if s.talosconfig != "" {
		w.create(w.admin, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "c1-talosconfig"}, Data: map[string][]byte{"talosconfig": []byte(s.talosconfig)}})
	}
	r := record(w.claim, w.name)
	r.Claim.Cluster = s.cluster
	w.create(w.ingot, w.claim, &metal.ServerInventory{ObjectMeta: name, Spec: metal.ServerInventorySpec{Arch: "amd64", System: metal.SystemInfo{UUID: uuid}}},
		&metal.Server{ObjectMeta: name, Spec: metal.ServerSpec{Record: r}})
}

// record is that of a server whose config left for 127.0.0.1; its boot is open until an hour after the epoch.
func record(claim *metal.ServerClaim, name string) *metal.ServerRecord {
	at := metav1.NewTime(epoch.Add(-time.Minute))
	return &metal.ServerRecord{
		ManagedBy: &metal.ManagedBy{Installation: here, Epoch: 1},
		Claim: &metal.ClaimRecord{
			Namespace: claim.Namespace, Name: claim.Name, BindingID: "bind1", Class: name, Environment: name, At: at, BoundAt: &at, ConfigAt: &at,
		},
		Boot: &metal.BootRecord{
			ID: "boot1", Phase: metal.BootBooting, Target: metal.BootTargetOS, BindingID: "bind1", StartedAt: at, At: at, Deadline: metav1.NewTime(epoch.Add(time.Hour)),
			Config: &metal.ConfigRelease{SHA256: strings.Repeat("a", 64), Source: "127.0.0.1", At: at},
		},
	}
}

func (w *world) create(c client.Client, objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		if err := c.Create(w.t.Context(), o); err != nil {
			w.t.Fatalf("%T: %v", o, err)
		}
		w.t.Cleanup(func() { _ = c.Delete(context.Background(), o) })
	}
}

// edit changes the record, as Ingot.
func (w *world) edit(change func(*metal.ServerRecord)) {
	w.t.Helper()
	s := w.server()
	change(s.Spec.Record)
	if err := w.ingot.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) server() *metal.Server {
	w.t.Helper()
	var s metal.Server
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &s); err != nil {
		w.t.Fatal(err)
	}
	return &s
}

// reconcile lets the reconciler look once.
func (w *world) reconcile() time.Duration {
	w.t.Helper()
	result, err := w.proof.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: w.name}})
	if err != nil {
		w.t.Fatal(err)
	}
	return result.RequeueAfter
}

// ask lets it ask once: after whatever pause it wants.
func (w *world) ask() {
	w.t.Helper()
	w.wait(w.pause())
	w.reconcile()
}

// pause is how long the reconciler wants to wait now, without having asked.
func (w *world) pause() time.Duration {
	w.t.Helper()
	before := w.questions()
	after := w.reconcile()
	if w.questions() != before {
		return 0
	}
	return after
}

// questions is how many answers began so far.
func (w *world) questions() (n int) {
	asked, _ := w.machine.Asked()
	for _, a := range asked {
		if a == "Version" {
			n++
		}
	}
	return n
}

// says changes what the machine says.
func (w *world) says(stage enums.RuntimeMachineStage, onDisk bool, line string) {
	w.machine.Set(func(s *talostest.State) { s.Stage, s.OnDisk, s.Cmdline = stage, onDisk, line })
}

// proven is what the record says: "", "installed" or "running".
func (w *world) proven() string {
	w.t.Helper()
	switch i := w.server().Spec.Record.Installed; {
	case i == nil:
		return ""
	case i.RunningAt == nil:
		return "installed"
	}
	return "running"
}
