package claim_test

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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate/expr"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const here = "here"

// errCrash stands for the death of the process.
var errCrash = errors.New("the process died here")

// world is a namespace, a class that everybody may use, an Environment and servers of its own, on a real API server.
type world struct {
	t       *testing.T
	admin   client.Client
	ingot   client.WithWatch
	ns      string
	class   *metal.ServerClass
	cel     claim.Evaluator
	now     time.Time
	mu      sync.Mutex
	events  []string
	writes  int
	dieAt   int // the process dies instead of the write of this number, or right after it
	dieLate bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cel, err := expr.New()
	ok(t, err)
	w := &world{t: t, ns: testapi.Namespace(t), cel: cel, now: time.Now().UTC().Truncate(time.Second), dieAt: -1}
	w.admin, w.ingot = newClient(t, testapi.Config(t).AdminConfig), newClient(t, testapi.Config(t).ControllerConfig)
	w.make(&metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Spec: metal.EnvironmentSpec{Boot: boots()}})
	w.class = &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Spec: metal.ServerClassSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"world": w.ns}}, AllowedNamespaces: &metal.NamespaceSelection{Names: []string{w.ns}},
		EnvironmentRef: &metal.NameRef{Name: w.ns}, WipeLevel: metal.WipePurge,
	}}
	w.make(w.class)
	return w
}

// boots is something to boot for amd64.
func boots() []metal.BootAssets {
	return []metal.BootAssets{{Arch: "amd64", UKI: &metal.Asset{URL: "http://files.example/uki", SHA256: strings.Repeat("0", 64)}}}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newClient(t testing.TB, cfg *rest.Config) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	ok(t, errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme)))
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	ok(t, err)
	return c
}

// make creates an object as Ingot, and removes it at the end whatever holds it.
func (w *world) make(o client.Object) {
	w.t.Helper()
	ok(w.t, w.ingot.Create(w.t.Context(), o))
	w.t.Cleanup(func() {
		free := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null,"annotations":null}}`))
		_ = w.ingot.Patch(context.Background(), o, free)
		_ = w.admin.Delete(context.Background(), o)
	})
}

// server makes an available server with its inventory.
func (w *world) server(suffix string) *metal.Server {
	w.t.Helper()
	at := metav1.NewTime(w.now)
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-" + suffix, Labels: map[string]string{"world": w.ns}}}
	s.Spec = metal.ServerSpec{Accepted: true, Record: &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: at}, ManagedBy: &metal.ManagedBy{Installation: here, Epoch: 1},
		Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: at, Generation: 1, BootID: "b", VerifiedAt: &at},
	}}
	w.make(s)
	w.make(&metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: s.Name}, Spec: metal.ServerInventorySpec{
		Arch: "amd64", CPUs: []metal.CPU{{Cores: 8}}, Memory: metal.Memory{TotalBytes: 16 << 30}, ReportedAt: at,
	}})
	w.condition(s, reasons.Ready, metav1.ConditionTrue, reasons.Available)
	return s
}

// condition sets a condition of a Server, as the server reconciler does.
func (w *world) condition(s *metal.Server, typ string, status metav1.ConditionStatus, reason string) {
	w.t.Helper()
	ok(w.t, w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(s), s))
	before := s.DeepCopy()
	meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{Type: typ, Status: status, Reason: reason, Message: "as " + reason})
	s.Status.Addresses = []string{"192.0.2.7"}
	ok(w.t, w.ingot.Status().Patch(w.t.Context(), s, client.MergeFrom(before)))
}

// record changes a Server's record, as the server reconciler does.
func (w *world) record(s *metal.Server, change func(*metal.ServerRecord)) {
	w.t.Helper()
	ok(w.t, w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(s), s))
	before := s.DeepCopy()
	change(s.Spec.Record)
	ok(w.t, w.ingot.Patch(w.t.Context(), s, client.MergeFrom(before)))
}

func (w *world) claim(name string, change ...func(*metal.ServerClaim)) *metal.ServerClaim {
	w.t.Helper()
	c := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}, Spec: metal.ServerClaimSpec{ClassName: w.class.Name}}
	for _, f := range change {
		f(c)
	}
	w.make(c)
	return c
}

// reconciler is a fresh one: whatever it would keep in memory is gone each time. It writes through a client of its own that counts, and dies.
func (w *world) reconciler() *claim.Reconciler {
	return &claim.Reconciler{
		Client: w.mortal(newClient(w.t, testapi.Config(w.t).ControllerConfig)), Live: w.admin, Events: w, CEL: w.cel,
		Installation: here, Now: func() time.Time { return w.now }, Random: rand.Reader,
	}
}

func (w *world) mortal(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return w.write(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return w.write(func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
}

func (w *world) write(do func() error) error {
	w.mu.Lock()
	n := w.writes
	w.writes++
	w.mu.Unlock()
	if n == w.dieAt && !w.dieLate {
		return errCrash
	}
	err := do()
	if n == w.dieAt {
		return errCrash
	}
	return err
}

// Event notes reasons.
func (w *world) Event(c types.NamespacedName, _ bool, reason, _ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, c.Name+" "+reason)
}

// settle reconciles a claim with fresh reconcilers until nothing is asked soon.
func (w *world) settle(c *metal.ServerClaim) {
	w.t.Helper()
	for range 20 {
		result, err := w.reconciler().Reconcile(w.t.Context(), request(c))
		if err != nil && !errors.Is(err, errCrash) {
			w.t.Fatal(err)
		}
		if err == nil && (result.RequeueAfter == 0 || result.RequeueAfter > time.Minute) {
			w.read(c)
			return
		}
	}
	w.t.Fatal("does not come to rest")
}

func request(c *metal.ServerClaim) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKeyFromObject(c)}
}

// read reads an object, and says whether it is there.
func (w *world) read(o client.Object) bool {
	w.t.Helper()
	err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(o), o)
	ok(w.t, client.IgnoreNotFound(err))
	return err == nil
}

// holders are the servers of this world whose record names the claim.
func (w *world) holders(c *metal.ServerClaim) (names []string) {
	w.t.Helper()
	var list metal.ServerList
	ok(w.t, w.admin.List(w.t.Context(), &list, client.MatchingLabels{"world": w.ns}))
	for _, s := range list.Items {
		if side := s.Spec.Record.Claim; side != nil && side.Namespace == c.Namespace && side.Name == c.Name {
			names = append(names, s.Name)
		}
	}
	return names
}

// says checks a condition of the claim.
func (w *world) says(c *metal.ServerClaim, typ string, status metav1.ConditionStatus, reason string) {
	w.t.Helper()
	got := meta.FindStatusCondition(c.Status.Conditions, typ)
	if got == nil || got.Status != status || got.Reason != reason || got.Message == "" || got.ObservedGeneration != c.Generation {
		w.t.Errorf("%s of %s is %+v; want %s %s", typ, c.Name, got, status, reason)
	}
}

// bound checks both sides of the claim's one binding.
func (w *world) bound(c *metal.ServerClaim) *metal.Server {
	w.t.Helper()
	b := c.Spec.Binding
	if b == nil || !slices.Equal(w.holders(c), []string{b.Server}) {
		w.t.Fatalf("%s is bound to %+v, and held by %v", c.Name, b, w.holders(c))
	}
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: b.Server}}
	w.read(s)
	if side := s.Spec.Record.Claim; side.BindingID != b.BindingID || s.Annotations[claim.LockAnnotation] != fmt.Sprintf("claimed by %s/%s", c.Namespace, c.Name) {
		w.t.Fatalf("the server's side is %+v, its annotations are %v", side, s.Annotations)
	}
	return s
}

func group(c *metal.ServerClaim, reason string) metal.Unfit {
	for _, u := range c.Status.Unfit {
		if u.Reason == reason {
			return u
		}
	}
	return metal.Unfit{}
}
