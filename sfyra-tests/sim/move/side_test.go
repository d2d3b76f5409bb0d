package move_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/passports"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// side is one API server with one installation's controllers: the real reconcilers of Servers and ServerClaims.
type side struct {
	w       *world
	name    string // also the id of the installation
	store   *store.Store
	view    *store.View
	live    *store.Client
	plane   *plane
	servers *server.Reconciler
	claims  *claim.Reconciler
	cluster *cluster
}

// cluster is the Cluster of Cluster API that all claims belong to; nil where it is not.
type cluster struct {
	paused   bool
	pausedAt time.Time // by clusterctl
}

func newSide(w *world, name string) *side {
	s := &side{w: w, name: name, store: store.New(w.time)}
	s.store.OnWrite = func(x *store.Write) {
		w.wrote(s, x)
		if x.Who == s.name && w.chance(w.dies) {
			panic(crashed{s})
		}
	}
	s.start()
	return s
}

// crashed is the panic of a controller that dies right after a write, or before or after an order.
type crashed struct{ s *side }

// start begins a new life with empty memory.
func (s *side) start() {
	who := store.Identity{Name: s.name, Ingot: true}
	if s.view != nil {
		s.store.Drop(s.view)
	}
	s.live, s.view = s.store.Client(who), s.store.Cached(store.Told)
	s.view.AdvanceAll()
	cached := s.view.Client(who)
	s.plane = &plane{s: s, pending: map[string]lifecycle.Action{}, done: map[string]string{}}
	live := clusterReader{s.live, s}
	s.servers = &server.Reconciler{
		Client: cached, Live: live, Plane: s.plane, Sightings: sightings.New(s.w.time), Events: noEvents{}, Disks: disks.Finder{Reader: cached}, Eraser: noEraser{},
		Installation: s.name, Now: s.w.time, Random: s.w, Workloads: ready{}, Idle: ready{},
		Passports: &passports.Keeper{Client: s.live, Live: s.live, Own: accounts.Label},
	}
	s.claims = &claim.Reconciler{
		Client: cached, Live: s.live, Indexed: claim.Index(context.Background(), s.view) == nil, Events: noClaimEvents{}, CEL: noCEL{}, Installation: s.name, Now: s.w.time, Random: s.w,
	}
}

// guarded runs code of the product, which may die in it.
func (s *side) guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(crashed)
			if !ok {
				panic(r)
			}
			c.s.w.note("%s dies", c.s.name)
			c.s.w.crashes++
			c.s.start()
		}
	}()
	f()
}

// reconcile makes one step with a server or a claim.
func (s *side) reconcile(namespace, name string) {
	r := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
	ctx := logr.NewContext(context.Background(), logr.Discard())
	s.guarded(func() {
		if namespace == "" {
			_, _ = s.servers.Reconcile(ctx, r)
		} else {
			_, _ = s.claims.Reconcile(ctx, r)
		}
	})
}

// told is what the reconciler of IngotMachines does: it tells the claims whether their Cluster is paused.
func (s *side) told(c *metal.ServerClaim) {
	if s.cluster == nil || c.DeletionTimestamp != nil {
		return
	}
	before := c.DeepCopy()
	if s.cluster.paused {
		metav1.SetMetaDataAnnotation(&c.ObjectMeta, metal.ClusterPausedAnnotation, "")
	} else {
		delete(c.Annotations, metal.ClusterPausedAnnotation)
		delete(c.Annotations, metal.MoveAnnotation)
	}
	_ = s.w.admin(s).Patch(context.Background(), c, client.MergeFrom(before))
}

// clusterReader answers for the Cluster as Kubernetes does.
type clusterReader struct {
	client.Reader
	s *side
}

func (r clusterReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return r.Reader.Get(ctx, key, o, opts...)
	}
	c := r.s.cluster
	if c == nil {
		return apierrors.NewNotFound(schema.GroupResource{Group: "cluster.x-k8s.io", Resource: "clusters"}, key.Name)
	}
	if !c.paused {
		return nil
	}
	if !c.pausedAt.IsZero() {
		at := metav1.NewTime(c.pausedAt)
		fields, _ := json.Marshal(map[string]any{"f:spec": map[string]any{"f:paused": map[string]any{}}})
		u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "clusterctl", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "cluster.x-k8s.io/v1beta2", Time: &at, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: fields}}})
	}
	return unstructured.SetNestedField(u.Object, true, "spec", "paused")
}

// plane is the BMC plane of one life. Orders wait in it, and reach the BMC, or die with it.
type plane struct {
	s       *side
	pending map[string]lifecycle.Action
	done    map[string]string
}

func (p *plane) Ensure(string, server.BMC) {}

func (p *plane) Forget(name string) { delete(p.pending, name) }

func (p *plane) Submit(name string, a lifecycle.Action) {
	if a.Kind == lifecycle.WithdrawPower {
		delete(p.pending, name)
		return
	}
	if a.Kind != lifecycle.ReadPower {
		p.s.w.ordered(p.s, name, a)
		p.pending[name] = a
	}
}

func (p *plane) Latest(name string) lifecycle.PowerReading {
	r := lifecycle.PowerReading{State: metal.PowerOff, At: p.s.w.time(), Reason: reasons.BMCAnswers, Pending: p.pending[name].ID, Done: p.done[name]}
	if p.s.w.on[name] {
		r.State = metal.PowerOn
	}
	return r
}

// work lets an order that waits reach its BMC.
func (p *plane) work(name string) {
	a, ok := p.pending[name]
	if !ok {
		return
	}
	delete(p.pending, name)
	p.s.w.reached(p.s, name, a)
	p.s.w.on[name] = a.Kind != lifecycle.EnsurePowerOff && a.Kind != lifecycle.EnsureShutdown
	p.done[name] = a.ID
}

type (
	noEvents      struct{}
	noClaimEvents struct{}
	noEraser      struct{}
	noCEL         struct{}
	ready         struct{}
)

func (noEvents) Event(string, bool, string, string)                    {}
func (noClaimEvents) Event(types.NamespacedName, bool, string, string) {}

func (noEraser) Publish(context.Context, *metal.Server, *metal.ServerInventorySpec) error {
	return errors.New("nothing is erased here")
}
func (noEraser) Published(context.Context, string, string, int64) (bool, error) { return false, nil }

func (noCEL) Check(string) error { return nil }
func (noCEL) Eval(string, *metal.ServerInventorySpec, map[string]string) (bool, error) {
	return true, nil
}

func (ready) Ready(context.Context, *metal.Server) (string, string, error) { return "", "", nil }
func (ready) Warm(context.Context, *metal.Server, *metal.ServerInventorySpec) (bool, error) {
	return false, nil
}

// random draws for a seed.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
