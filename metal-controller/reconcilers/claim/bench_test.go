//go:build bench

package claim_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const (
	benchClaims  = 1000
	benchWorkers = 8 // as many as the reconciler has
)

// TestBenchRace lets 1,000 claims, which are there when the reconciler starts, race for servers. It prints how long that takes beside the API server's own
// time for as many patches of ServerClaims. It fails when a server or a claim is bound twice, or a claim that waits does not say why.
func TestBenchRace(t *testing.T) {
	log.SetLogger(logr.Discard())
	bench := t
	var floors []func() // at the end: their claims would take part in the next race
	for _, servers := range []int{1000, 100} {
		t.Run(strconv.Itoa(servers), func(t *testing.T) {
			w := newWorld(t)
			took := w.benchRace(t, servers)
			writes := w.writes
			floors = append(floors, func() {
				floor := floor(bench, writes)
				fmt.Printf("%d claims race for %4d servers: %5.1f s, %d writes; as many patches of claims: %5.1f s; ratio %.2f\n",
					benchClaims, servers, took.Seconds(), writes, floor.Seconds(), took.Seconds()/floor.Seconds())
			})
		})
	}
	for _, measure := range floors {
		measure()
	}
}

// benchRace makes servers and claims, lets them race, and compares both sides afterwards.
func (w *world) benchRace(t *testing.T, servers int) time.Duration {
	t.Helper()
	least := int32(8)
	w.class.Spec.Requirements = metal.Requirements{Cores: &metal.CountRange{Min: &least}, CEL: []string{`inventory.arch == "amd64" && inventory.cpus.all(c, c.cores >= 8)`}}
	ok(t, w.admin.Update(t.Context(), w.class))
	each(t, servers, func(i int) error { return w.rack(t.Context(), i) })
	each(t, benchClaims, func(i int) error { return w.ingot.Create(t.Context(), w.numbered(i)) })
	took := w.race(t, servers)
	w.audit(t, servers)
	return took
}

func (w *world) numbered(i int) *metal.ServerClaim {
	return &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: fmt.Sprintf("m%04d", i)}, Spec: metal.ServerClaimSpec{ClassName: w.class.Name}}
}

// rack makes one available server; nobody removes it, since the API server ends with the test.
func (w *world) rack(ctx context.Context, i int) error {
	at := metav1.NewTime(w.now)
	name := fmt.Sprintf("%s-%04d", w.ns, i)
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"world": w.ns}}}
	s.Spec = metal.ServerSpec{Accepted: true, Record: &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: at}, ManagedBy: &metal.ManagedBy{Installation: here, Epoch: 1},
		Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: at, Generation: 1, BootID: "b", VerifiedAt: &at},
	}}
	if err := w.ingot.Create(ctx, s); err != nil {
		return err
	}
	inventory := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{
		Arch: "amd64", CPUs: []metal.CPU{{Cores: 8}, {Cores: 8}}, Memory: metal.Memory{TotalBytes: 16 << 30}, ReportedAt: at,
	}}
	s.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: metav1.ConditionTrue, Reason: reasons.Available, LastTransitionTime: at}}
	return errors.Join(w.ingot.Create(ctx, inventory), w.ingot.Status().Update(ctx, s))
}

// race starts the reconciler and returns how long it took until every claim was bound or told why not.
func (w *world) race(t *testing.T, servers int) time.Duration {
	t.Helper()
	scheme := runtime.NewScheme()
	ok(t, errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme)))
	m, err := ctrl.NewManager(testapi.Config(t).ControllerConfig, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		NewClient: func(cfg *rest.Config, o client.Options) (client.Client, error) {
			c, err := client.NewWithWatch(cfg, o)
			return w.mortal(c), err
		},
	})
	ok(t, err)
	ok(t, claim.Index(t.Context(), m.GetFieldIndexer()))
	told := &tally{namespace: w.ns, last: map[string]string{}, changed: make(chan struct{}, 1)}
	r := &claim.Reconciler{
		Client: m.GetClient(), Live: m.GetAPIReader(), Indexed: true, Events: told, CEL: w.cel, Installation: here, Now: time.Now, Random: rand.Reader,
	}
	ok(t, r.SetupWithManager(m))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	w.writes = 0
	begin := time.Now()
	go func() { ended <- m.Start(ctx) }()
	for bound, waiting := 0, 0; bound != min(servers, benchClaims) || bound+waiting != benchClaims; bound, waiting = told.count() {
		select {
		case <-told.changed:
		case <-ctx.Done():
			t.Fatalf("%d are bound, %d are waiting", bound, waiting)
		}
	}
	took := time.Since(begin)
	cancel()
	ok(t, <-ended)
	return took
}

// tally keeps the last event of each claim of a namespace.
type tally struct {
	namespace string
	mu        sync.Mutex
	last      map[string]string
	changed   chan struct{}
}

func (c *tally) Event(claim types.NamespacedName, _ bool, reason, _ string) {
	if claim.Namespace != c.namespace {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[claim.Name] = reason
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *tally) count() (bound, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason := range maps.Values(c.last) {
		switch reason {
		case reasons.BindingSeen:
			bound++
		case reasons.NoMatchingServer:
			waiting++
		}
	}
	return bound, waiting
}

// floor is how long the API server takes for as many patches of other claims, by as many workers.
func floor(t *testing.T, writes int) time.Duration {
	t.Helper()
	w := newWorld(t)
	each(t, benchClaims, func(i int) error { return w.ingot.Create(t.Context(), w.numbered(i)) })
	begin := time.Now()
	each(t, writes, func(i int) error {
		body := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Bench","message":"n%d","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, i)
		return w.ingot.Status().Patch(t.Context(), w.numbered(i%benchClaims), client.RawPatch(types.MergePatchType, []byte(body)))
	})
	return time.Since(begin)
}

// audit compares all servers with all claims.
func (w *world) audit(t *testing.T, servers int) {
	t.Helper()
	var claims metal.ServerClaimList
	var machines metal.ServerList
	ok(t, w.admin.List(t.Context(), &claims, client.InNamespace(w.ns)))
	ok(t, w.admin.List(t.Context(), &machines, client.MatchingLabels{"world": w.ns}))
	sides := map[string]metal.Binding{} // by claim
	for _, s := range machines.Items {
		if side := s.Spec.Record.Claim; side != nil {
			if _, twice := sides[side.Name]; twice {
				t.Errorf("the claim %s has two servers", side.Name)
			}
			sides[side.Name] = metal.Binding{Server: s.Name, BindingID: side.BindingID}
		}
	}
	waiting := 0
	for _, c := range claims.Items {
		side, has := sides[c.Name]
		switch {
		case c.Spec.Binding != nil && (!has || *c.Spec.Binding != side):
			t.Errorf("%s is bound to %+v, and the server's side is %+v", c.Name, c.Spec.Binding, side)
		case c.Spec.Binding == nil && has:
			t.Errorf("%s is not bound, and %s names it", c.Name, side.Server)
		case c.Spec.Binding == nil:
			waiting++
			if u := c.Status.Unfit; !slices.ContainsFunc(u, func(g metal.Unfit) bool { return g.Reason == reasons.Claimed && int(g.Count) == servers }) {
				t.Errorf("%s waits and says %+v", c.Name, u)
			}
		}
	}
	if want := benchClaims - min(servers, benchClaims); len(claims.Items) != benchClaims || waiting != want || len(sides) != benchClaims-want {
		t.Errorf("%d claims, %d waiting, %d servers taken; want %d waiting", len(claims.Items), waiting, len(sides), want)
	}
}

// each does n things, some at once.
func each(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range benchWorkers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
