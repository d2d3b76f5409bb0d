package claim_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const (
	yes = metav1.ConditionTrue
	no  = metav1.ConditionFalse
)

func TestBind(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	c := w.claim("m1")
	w.settle(c)
	s := w.bound(c)
	side := s.Spec.Record.Claim
	if side.Class != w.class.Name || side.Environment != w.ns || side.WipeLevel != metal.WipePurge || side.PlainConfig || side.BoundAt != nil || !side.At.Time.Equal(w.now) || len(side.BindingID) != 32 {
		t.Errorf("the server's side is %+v", side)
	}
	if !slices.Contains(c.Finalizers, claim.Finalizer) || len(c.Status.Unfit) > 0 || !slices.Equal(c.Status.Addresses, []string{"192.0.2.7"}) {
		t.Errorf("finalizers %v, status %+v", c.Finalizers, c.Status)
	}
	w.says(c, reasons.Bound, yes, reasons.BindingSeen)
	w.says(c, reasons.Ready, no, reasons.Provisioning)
	if !slices.Equal(w.events, []string{"m1 " + reasons.BindingSeen}) {
		t.Errorf("events %v", w.events)
	}
	before := w.writes
	w.settle(c)
	if w.writes != before || before != 4 {
		t.Errorf("%d writes to bind, %d after that; want 4 and 0", before, w.writes-before)
	}
	if err := w.admin.Delete(t.Context(), s); !apierrors.IsForbidden(err) {
		t.Errorf("deleting the server: %v; want forbidden by its lock", err)
	}
}

// TestBindCluster: the server's side names the cluster of a Talos, by either label, and none for what is no Talos.
func TestBindCluster(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		labels map[string]string
		want   string
	}{
		"ours":        {[]string{"talos.config={config}"}, map[string]string{metal.ClusterLabel: "lab", metal.ClusterAPILabel: "other"}, "lab"},
		"Cluster API": {[]string{"talos.config={config}"}, map[string]string{metal.ClusterAPILabel: "prod"}, "prod"},
		"no label":    {[]string{"talos.config={config}"}, nil, ""},
		"no Talos":    {nil, map[string]string{metal.ClusterLabel: "lab"}, ""},
	} {
		w := newWorld(t)
		env := &metal.Environment{}
		ok(t, w.admin.Get(t.Context(), client.ObjectKey{Name: w.ns}, env))
		asset := &metal.Asset{URL: "http://files.example/a", SHA256: strings.Repeat("0", 64)}
		env.Spec.Boot = []metal.BootAssets{{Arch: "amd64", Kernel: asset, Initramfs: asset, Args: c.args}}
		ok(t, w.admin.Update(t.Context(), env))
		w.server("a")
		m := w.claim("m1")
		m.Labels = c.labels
		ok(t, w.ingot.Update(t.Context(), m))
		w.settle(m)
		if got := w.bound(m).Spec.Record.Claim.Cluster; got != c.want {
			t.Errorf("%s: cluster %q, not %q", name, got, c.want)
		}
	}
}

// TestRace: two claims, two reconcilers with clients of their own. Both have read the one server before either writes.
func TestRace(t *testing.T) {
	w := newWorld(t)
	s := w.server("a")
	claims := []*metal.ServerClaim{w.claim("m1"), w.claim("m2")}
	meet := newBarrier(2)
	var wg sync.WaitGroup
	var refused sync.Map
	for _, c := range claims {
		wg.Go(func() {
			r := w.reconciler()
			first := true
			r.Client = interceptor.NewClient(newClient(t, testapi.Config(t).ControllerConfig), interceptor.Funcs{
				Patch: func(ctx context.Context, inner client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
					if _, server := o.(*metal.Server); server && first {
						first = false
						meet.wait(ctx)
					}
					err := inner.Patch(ctx, o, p, opts...)
					if apierrors.IsConflict(err) {
						refused.Store(c.Name, true)
					}
					return err
				},
			})
			if _, err := r.Reconcile(t.Context(), request(c)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	won := 0
	for _, c := range claims {
		w.read(c)
		_, lost := refused.Load(c.Name)
		if c.Spec.Binding != nil {
			won++
			w.bound(c)
			w.says(c, reasons.Bound, yes, reasons.BindingSeen)
			continue
		}
		if !lost {
			t.Errorf("control: %s has no server and was not refused", c.Name)
		}
		w.says(c, reasons.Bound, no, reasons.NoMatchingServer)
		w.says(c, reasons.Ready, no, reasons.NoMatchingServer)
		if u := group(c, reasons.Claimed); u.Count != 1 || !slices.Equal(u.Servers, []string{s.Name}) || !strings.Contains(u.Message, "the claim "+w.ns+"/m") {
			t.Errorf("status.unfit is %+v", c.Status.Unfit)
		}
	}
	if won != 1 {
		t.Errorf("%d claims are bound; want one", won)
	}
}

// barrier lets nobody on before all have come.
type barrier struct {
	missing sync.WaitGroup
	all     chan struct{}
}

func newBarrier(n int) *barrier {
	b := &barrier{all: make(chan struct{})}
	b.missing.Add(n)
	go func() { b.missing.Wait(); close(b.all) }()
	return b
}

func (b *barrier) wait(ctx context.Context) {
	b.missing.Done()
	select {
	case <-b.all:
	case <-ctx.Done():
	}
}

// TestCrash: the process dies before or after each write, with two servers that fit. There is one binding in the end.
func TestCrash(t *testing.T) {
	for _, late := range []bool{false, true} {
		died := 0
		for at := range 6 {
			w := newWorld(t)
			w.server("a")
			w.server("b")
			c := w.claim("m1")
			w.dieAt, w.dieLate = at, late
			w.settle(c)
			w.bound(c)
			w.says(c, reasons.Bound, yes, reasons.BindingSeen)
			if w.writes > at {
				died++
			}
		}
		if died < 4 {
			t.Errorf("control: the process died at %d writes only", died)
		}
	}
}

// TestLateWrite: a write that was refused, or of which nobody knows whether it happened, leaves no second server behind, in one process that goes on.
func TestLateWrite(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	w.server("b")
	c := w.claim("m1")
	w.dieAt, w.dieLate = 1, true // the server's side is written, and the answer is lost
	r := w.reconciler()
	if _, err := r.Reconcile(t.Context(), request(c)); !errors.Is(err, errCrash) {
		t.Fatalf("control: %v", err)
	}
	if _, err := r.Reconcile(t.Context(), request(c)); err != nil {
		t.Fatal(err)
	}
	w.read(c)
	w.bound(c)
}

// TestStaleClaim: a cache that does not show the binding yet gets the claim no second server.
func TestStaleClaim(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	w.server("b")
	c := w.claim("m1")
	w.settle(c)
	old := c.DeepCopy()
	old.Spec.Binding = nil
	r := w.reconciler()
	r.Client = staleClient{r.Client, old}
	if result, err := r.Reconcile(t.Context(), request(c)); err != nil || result.RequeueAfter == 0 {
		t.Errorf("%v, %v; want another try", result, err)
	}
	w.read(c)
	w.bound(c)
}

// staleClient shows an old claim, and no Server's record.
type staleClient struct {
	client.Client
	old *metal.ServerClaim
}

func (c staleClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if claim, is := o.(*metal.ServerClaim); is {
		c.old.DeepCopyInto(claim)
		return nil
	}
	return c.Client.Get(ctx, key, o, opts...)
}

func (c staleClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	err := c.Client.List(ctx, list, opts...)
	if servers, is := list.(*metal.ServerList); is {
		for i := range servers.Items {
			if servers.Items[i].Spec.Record != nil {
				servers.Items[i].Spec.Record.Claim = nil
			}
		}
	}
	return err
}

// TestStaleServer: a cache that shows a taken server as free costs another look, and no binding.
func TestStaleServer(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	first, second := w.claim("m1"), w.claim("m2")
	w.settle(first)
	r := w.reconciler()
	w.read(second)
	r.Client = staleClient{r.Client, second}
	if _, err := r.Reconcile(t.Context(), request(second)); err != nil {
		t.Fatal(err)
	}
	w.read(second)
	w.says(second, reasons.Bound, no, reasons.NoMatchingServer)
	w.bound(first)
}

// TestEditedMeanwhile: a claim that changed its mind between the two writes gets what it asks for now.
func TestEditedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.server("a")
	b := w.server("b")
	c := w.claim("m1")
	w.dieAt = 2 // the claim's side is not written
	if _, err := w.reconciler().Reconcile(t.Context(), request(c)); !errors.Is(err, errCrash) || len(w.holders(c)) != 1 {
		t.Fatalf("control: %v, %v", err, w.holders(c))
	}
	w.read(c)
	c.Spec.ServerName = b.Name
	ok(t, w.admin.Update(t.Context(), c))
	w.settle(c)
	if w.bound(c); c.Spec.Binding.Server != b.Name {
		t.Errorf("bound to %s", c.Spec.Binding.Server)
	}
	var a metal.Server
	ok(t, w.admin.Get(t.Context(), client.ObjectKey{Name: w.ns + "-a"}, &a))
	if a.Spec.Record.Claim != nil || a.Annotations[claim.LockAnnotation] != "" {
		t.Errorf("the other server has %+v, %v", a.Spec.Record.Claim, a.Annotations)
	}
}

// TestClaimIsBack: a claim that is made again goes on with the server that still runs for it, unless it asks for something else.
func TestClaimIsBack(t *testing.T) {
	w := newWorld(t)
	s := w.server("a")
	w.server("b")
	at := metav1.NewTime(w.now)
	side := metal.ClaimRecord{Namespace: w.ns, Name: "m1", BindingID: "old", Class: w.class.Name, Environment: w.ns, At: at, BoundAt: &at}
	w.record(s, func(r *metal.ServerRecord) { r.Claim = &side })
	other := w.claim("m1", func(c *metal.ServerClaim) { c.Spec.ServerName = w.ns + "-b" })
	w.settle(other)
	w.says(other, reasons.Bound, no, reasons.BindingIncomplete)
	other.Spec.ServerName = ""
	ok(t, w.admin.Update(t.Context(), other))
	w.record(s, func(r *metal.ServerRecord) {
		r.Release = &metal.ReleaseRecord{Namespace: w.ns, Name: "m1", BindingID: "old", At: at}
	})
	w.settle(other)
	w.says(other, reasons.Bound, no, reasons.Releasing)
	w.record(s, func(r *metal.ServerRecord) { r.Release = nil })
	w.settle(other)
	if other.Spec.Binding == nil || other.Spec.Binding.BindingID != "old" {
		t.Errorf("bound to %+v", other.Spec.Binding)
	}
}

// TestForeign: another installation's server is neither taken nor gone on with.
func TestForeign(t *testing.T) {
	w := newWorld(t)
	s, c := w.server("a"), w.claim("m1")
	w.record(s, func(r *metal.ServerRecord) {
		r.ManagedBy.Installation = "there"
		r.Claim = &metal.ClaimRecord{Namespace: w.ns, Name: "m1", BindingID: "x", Class: w.class.Name, At: metav1.NewTime(w.now)}
	})
	w.settle(c)
	w.says(c, reasons.Bound, no, reasons.NoMatchingServer)
	if u := group(c, reasons.UnmanagedHere); u.Count < 1 {
		t.Errorf("status.unfit is %+v", c.Status.Unfit)
	}
	ok(t, w.admin.Delete(t.Context(), c))
	w.settle(c)
	if w.read(c) || len(w.holders(&metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "m1"}})) != 1 {
		t.Error("the foreign server was touched, or the claim stays")
	}
}

// TestSpread: claims of one owner that come together get servers of different racks, though no cache shows the others' yet.
func TestSpread(t *testing.T) {
	w := newWorld(t)
	w.class.Spec.SpreadKey = "rack"
	ok(t, w.admin.Update(t.Context(), w.class))
	for _, name := range []string{"a", "b", "c", "d"} {
		s := w.server(name)
		s.Labels["rack"] = map[string]string{"a": "r1", "b": "r1", "c": "r2", "d": "r2"}[name]
		ok(t, w.admin.Update(t.Context(), s))
	}
	r, racks := w.reconciler(), map[string]int{}
	for _, name := range []string{"m1", "m2"} {
		c := w.claim(name)
		_, err := r.Reconcile(t.Context(), request(c))
		ok(t, err)
		w.read(c)
		racks[w.bound(c).Labels["rack"]]++
	}
	if racks["r1"] != 1 || racks["r2"] != 1 {
		t.Errorf("racks %v", racks)
	}
}
