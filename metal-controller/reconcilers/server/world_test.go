package server_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/erase"
	"ingot.dev/ingot/metal-controller/erase/erasetest"
	"ingot.dev/ingot/metal-controller/erase/ledger"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// errCrash stands for the death of the process.
var errCrash = errors.New("the process died here")

// world is a reconciler on a real API server, with a BMC that does what it is told, a clock that only tests move, and a place to die.
type world struct {
	t     *testing.T
	admin client.Client
	live  client.WithWatch
	name  string
	now   time.Time
	// set is how far the clock of now was set ahead of the steady one.
	set    time.Duration
	plane  *plane
	memory *sightings.Store
	writes int
	events []string
	// workload is what the claim's Environment and machine config are like.
	workload workload
	// workloads, when set, answers instead: the real one.
	workloads server.Workloads
	signer    *erase.Signer
	// users of the BMC, with their passwords; nil where no test looks at them.
	users map[string]string
	// effects counts writes and orders; the process dies instead of the one numbered dieAt, or right after it.
	effects, dieAt int
	dieAfter       bool
}

func newWorld(t *testing.T, name string, spec metal.ServerSpec) *world {
	t.Helper()
	w := &world{t: t, name: name, now: time.Now().UTC(), dieAt: -1}
	w.admin = newClient(t, testapi.Config(t).AdminConfig)
	w.signer = erasetest.Signer(t)
	w.restart()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name},
		StringData: map[string]string{"username": "root", "password": "secret"},
	}
	for _, o := range []client.Object{secret, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}} {
		if err := w.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.admin.Delete(context.Background(), o) })
	}
	return w
}

// restart loses the memory of the process; machine and BMC stay as they are.
func (w *world) restart() {
	on := w.plane != nil && w.plane.on
	var orders []lifecycle.ActionKind
	if w.plane != nil {
		orders = w.plane.orders
	}
	w.plane = &plane{world: w, on: on, orders: orders}
	w.memory = sightings.New(func() time.Time { return w.now.Add(-w.set) })
}

// reconcile runs once, as the controllers' identity, reading from the API server itself.
func (w *world) reconcile() (ctrl.Result, error) {
	w.t.Helper()
	if w.live == nil {
		w.live = newClient(w.t, w.config())
	}
	counted := interceptor.NewClient(w.live, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return w.effect(func() error { w.writes++; return c.Patch(ctx, o, p, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return w.effect(func() error { w.writes++; return c.Update(ctx, o, opts...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return w.effect(func() error { w.writes++; return c.Create(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return w.effect(func() error { w.writes++; return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
	return w.reconciler(counted).Reconcile(w.t.Context(), w.key())
}

func (w *world) config() *rest.Config { return testapi.Config(w.t).ControllerConfig }

func (w *world) key() ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Name: w.name}}
}

// reconciler is a fresh one: whatever it would keep in memory is gone each time.
func (w *world) reconciler(c client.Client) *server.Reconciler {
	var workloads server.Workloads = &w.workload
	if w.workloads != nil {
		workloads = w.workloads
	}
	return &server.Reconciler{
		Client: c, Live: c, Plane: w.plane, Sightings: w.memory, Events: w, Installation: "here", Now: func() time.Time { return w.now },
		Disks: disks.Finder{Reader: c}, Eraser: &ledger.Ledger{Client: c, Live: c, Signer: w.signer, Installation: "here"}, Random: rand.Reader, Workloads: workloads, Idle: &w.workload,
		Accounts: w.keeper(c),
	}
}

// keeper keeps accounts in Secrets of the API server.
func (w *world) keeper(c client.Client) *accounts.Keeper {
	return &accounts.Keeper{Client: c, Live: c, Name: lifecycle.AccountSecret, Random: rand.Reader}
}

// workload answers for Environments, machine config and classes.
type workload struct {
	reason, message string
	warm            bool
}

func (f *workload) Ready(context.Context, *metal.Server) (string, string, error) {
	return f.reason, f.message, nil
}

func (f *workload) Warm(context.Context, *metal.Server, *metal.ServerInventorySpec) (bool, error) {
	return f.warm, nil
}

// staleClient reads an old Server.
type staleClient struct {
	client.Client
	old *metal.Server
}

// Get gives the old Server, and everything else as it is.
func (c staleClient) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	if s, ok := into.(*metal.Server); ok {
		c.old.DeepCopyInto(s)
		return nil
	}
	return c.Client.Get(ctx, key, into, opts...)
}

// effect does one thing to the outside, unless the process dies there.
func (w *world) effect(do func() error) error {
	n := w.effects
	w.effects++
	if n == w.dieAt && !w.dieAfter {
		return errCrash
	}
	err := do()
	if n == w.dieAt {
		return errCrash
	}
	return err
}

// Event notes reasons.
func (w *world) Event(_ string, _ bool, reason, _ string) { w.events = append(w.events, reason) }

// settle reconciles, moving the clock as the reconciler asks, until nothing is asked soon. A death is followed by a restart.
func (w *world) settle() {
	w.t.Helper()
	for range 60 {
		result, err := w.reconcile()
		switch {
		case errors.Is(err, errCrash), w.plane.died:
			w.restart()
			w.now = w.now.Add(time.Second)
			continue
		case err != nil:
			w.t.Fatal(err)
		}
		if result.RequeueAfter == 0 || result.RequeueAfter > time.Minute {
			return
		}
		w.now = w.now.Add(result.RequeueAfter)
	}
	w.t.Fatal("does not come to rest")
}

func (w *world) server() *metal.Server {
	w.t.Helper()
	var s metal.Server
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &s); err != nil {
		w.t.Fatal(err)
	}
	return &s
}

// pinSeen is the certificate of every BMC here.
const pinSeen = "abababababababababababababababababababababababababababababababab"

// plane is a BMC plane whose BMC obeys at once.
type plane struct {
	world   *world
	mu      sync.Mutex
	on      bool
	watched bool
	died    bool
	deaf    bool // acknowledges nothing and answers nothing
	stuck   bool // acknowledges nothing and stays as it is
	reading lifecycle.PowerReading
	orders  []lifecycle.ActionKind
	pin     string // of the last Ensure
	// trials are logins with accounts to come.
	trials map[string]server.BMC
}

func (p *plane) Ensure(name string, b server.BMC) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name != p.world.name {
		if p.trials == nil {
			p.trials = map[string]server.BMC{}
		}
		p.trials[name] = b
		return
	}
	p.watched, p.pin = true, b.TLSFingerprint
	if known := p.world.users; known != nil && known[b.Username] == b.Password.Reveal() {
		return
	}
	if b.Username != "root" || b.Password.Reveal() != "secret" {
		p.world.t.Errorf("credentials %q %q", b.Username, b.Password.Reveal())
	}
}

func (p *plane) Submit(_ string, a lifecycle.Action) {
	err := p.world.effect(func() error {
		p.orders = append(p.orders, a.Kind)
		if p.stuck {
			return nil
		}
		p.on = a.Kind == lifecycle.EnsurePowerOn || a.Kind == lifecycle.EnsurePowerOnFromNetwork || a.Kind == lifecycle.WithdrawPower && p.on || a.Kind == lifecycle.ReadPower && p.on
		if a.Kind != lifecycle.ReadPower && a.Kind != lifecycle.WithdrawPower { // these are no commands
			p.reading.Done, p.reading.CommandAt = a.ID, p.world.now
		}
		return nil
	})
	p.died = err != nil
}

func (p *plane) Latest(name string) lifecycle.PowerReading {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name != p.world.name {
		return p.trial(name)
	}
	if !p.watched {
		p.world.t.Error("a reading was asked for of a BMC that is not watched")
	}
	p.reading.Reason, p.reading.At, p.reading.State, p.reading.PinSeen = reasons.BMCAnswers, p.world.now, metal.PowerOff, pinSeen
	if p.on {
		p.reading.State = metal.PowerOn
	}
	if p.deaf {
		p.reading = lifecycle.PowerReading{Reason: reasons.BMCUnreachable}
	}
	return p.reading
}

func (p *plane) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name == p.world.name {
		p.watched = false
	}
	delete(p.trials, name)
}
