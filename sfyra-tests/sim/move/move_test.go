// Package move_test lets two installations, each with the real reconcilers over an API server of its own, hand servers over while clusterctl moves their claims,
// under virtual time, with everything dying at any moment. A model of clusterctl makes the moves; the oracle watches every write and every order.
package move_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

var (
	seeds = flag.Int("seeds", 20, "how many seeds are played")
	one   = flag.Uint64("seed", 0, "play this seed alone, and tell what happens")
)

// epoch is when virtual time begins.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// world is one run.
type world struct {
	rand    *rand.Rand
	now     time.Time
	names   []string
	source  *side
	target  *side
	mover   *mover
	on      map[string]bool
	asked   map[string]*side // power requests of persons, by id
	dies    float64
	faults  float64
	story   []string
	broken  string
	home    *side // where the last move that ended went to
	moves   int
	gaveUp  int
	crashes int
	obeyed  int
	ids     int
}

func newWorld(seed uint64) *world {
	w := &world{rand: random(seed), now: epoch, names: []string{"s1", "s2"}, on: map[string]bool{}, asked: map[string]*side{}}
	w.source, w.target = newSide(w, "source"), newSide(w, "target")
	w.source.cluster, w.home = &cluster{}, w.source
	for _, name := range w.names {
		w.rack(name)
	}
	w.dies, w.faults = w.rand.Float64()*0.1, w.rand.Float64()*0.1
	for _, s := range w.sides() {
		s.store.Fault = func(op store.Op) store.Outcome {
			if op.Cached || op.Who != s.name || !w.chance(w.faults) {
				return store.None
			}
			return store.Outcome(w.rand.IntN(int(store.InternalError) + 1))
		}
	}
	return w
}

func (w *world) time() time.Time       { return w.now }
func (w *world) chance(p float64) bool { return w.rand.Float64() < p }
func (w *world) sides() []*side        { return []*side{w.source, w.target} }

// Read draws ids.
func (w *world) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(w.rand.UintN(256))
	}
	return len(b), nil
}

func (w *world) admin(s *side) *store.Client {
	return s.store.Client(store.Identity{Name: "admin", Mover: true})
}

func (w *world) note(format string, args ...any) {
	w.story = append(w.story, w.now.Sub(epoch).String()+" "+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
		w.note("BROKEN %s", w.broken)
	}
}

// rack makes a server that runs a workload at the source. The target may have registered its machine too.
func (w *world) rack(name string) {
	ctx, ingot := context.Background(), w.source.store.Client(store.Identity{Name: "setup", Ingot: true})
	at, disk := metav1.NewTime(epoch.Add(-time.Hour)), metal.DiskID{WWID: "naa." + name}
	inventory := metal.ServerInventorySpec{Arch: "amd64", System: metal.SystemInfo{Serial: "SN-" + name}, Disks: []metal.Disk{{Name: "sda", WWID: disk.WWID, SizeBytes: 1 << 40, Transport: "sata", PCIAddress: "0000:00:02.0"}}, Agent: metal.AgentInfo{BootID: "b"}, ReportedAt: at}
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{
		Accepted: true, Identity: &metal.Identity{MACs: []string{"52:54:00:00:00:0" + name[1:]}}, BMC: &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: name + ".bmc", CredentialsSecret: "bmc-" + name},
		Record: &metal.ServerRecord{
			ManagedBy: &metal.ManagedBy{Installation: "source", Epoch: 1}, Acceptance: &metal.AcceptanceRecord{At: at, Level: metal.WipeClear, Disks: []metal.DiskID{disk}},
			Wipe:      &metal.WipeRecord{ID: "w", Level: metal.WipeClear, Disks: []metal.DiskID{disk}, GrantedAt: at, Generation: 1, BootID: "b", VerifiedAt: &at},
			Claim:     &metal.ClaimRecord{Namespace: "prod", Name: "c-" + name, BindingID: "b-" + name, Class: "c", Environment: "e", At: at, BoundAt: &at, ConfigAt: &at},
			Installed: &metal.InstalledRecord{BootID: "o", At: at, BindingID: "b-" + name, Environment: "e", RunningAt: &at, EverySeconds: 0},
		},
	}}
	c := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "c-" + name, Finalizers: []string{metal.ReleaseFinalizer}, Labels: map[string]string{metal.ClusterAPILabel: "k"}}}
	c.Spec = metal.ServerClaimSpec{ClassName: "c", ConfigSecret: "x", Binding: &metal.Binding{Server: name, BindingID: "b-" + name}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-" + name}, Data: map[string][]byte{"username": []byte("u"), "password": []byte("p")}}
	for _, o := range []client.Object{secret, &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: inventory}, s, c} {
		if err := ingot.Create(ctx, o); err != nil {
			panic(err)
		}
	}
	w.on[name] = true
	if w.chance(0.4) {
		there := w.target.store.Client(store.Identity{Name: "setup", Ingot: true})
		own := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Identity: s.Spec.Identity.DeepCopy()}}
		for _, o := range []client.Object{&metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: inventory}, own} {
			if err := there.Create(ctx, o); err != nil {
				panic(err)
			}
		}
	}
}

// wrote judges every write.
func (w *world) wrote(s *side, x *store.Write) {
	if x.Who == s.name || x.Who == "admin" {
		w.note("%s: %s writes %s %s", s.name, x.Who, x.Kind, x.Key.Name)
	}
	if x.Kind != "Server" {
		return
	}
	name := x.Key.Name
	var managers []string
	for _, s := range w.sides() {
		if w.manages(s, name) {
			managers = append(managers, s.name)
		}
	}
	if len(managers) > 1 {
		w.fail("%s is managed by %v", name, managers)
	}
	if now := store.Peek[metal.Server](s.store, "", name); now != nil && w.manages(s, name) {
		if !now.Spec.Accepted {
			w.fail("%s at the %s has lost its yes", name, s.name)
		}
		if r := now.Spec.Record; r.Release != nil || r.Claim == nil || r.Claim.BindingID != "b-"+name || r.Wipe == nil || r.Wipe.ID != "w" || r.Acceptance == nil || r.Unverified != nil || r.Installed == nil || r.Boot != nil {
			w.fail("the record of %s at the %s is %+v", name, s.name, r)
		}
	}
}

// manages says that an installation may act on a machine: it manages a Server that somebody accepted or whose BMC it knows.
func (w *world) manages(s *side, name string) bool {
	if s == nil {
		return false
	}
	v := store.Peek[metal.Server](s.store, "", name)
	if v == nil || v.Spec.Record == nil || v.Spec.Record.ManagedBy == nil || v.Spec.Record.Foreign(s.name) {
		return false
	}
	return (v.Spec.Record.Acceptance != nil || v.Spec.BMC != nil) && v.Spec.Record.ManagedBy.Object == string(v.UID) || v.Spec.Record.ManagedBy.Object == ""
}

// ordered judges an order: somebody asked this very installation, and it manages the server.
func (w *world) ordered(s *side, name string, a lifecycle.Action) {
	w.note("%s orders %s of %s", s.name, a.Kind, name)
	v := store.Peek[metal.Server](s.store, "", name)
	if !w.manages(s, name) {
		w.fail("%s orders %s of %s, which it does not manage", s.name, a.Kind, name)
	}
	if p := v.Spec.Record.Power; p == nil || w.asked[p.ID] != s {
		w.fail("%s orders %s of %s, and nobody asked for it there", s.name, a.Kind, name)
	}
}

func (w *world) reached(s *side, name string, a lifecycle.Action) {
	w.obeyed++
	if !w.manages(s, name) {
		w.fail("%s of %s reaches the BMC of %s, which it does not manage any more", a.Kind, s.name, name)
	}
}

// act does one thing of those that may happen.
func (w *world) act() {
	s := w.sides()[w.rand.IntN(2)]
	name := w.names[w.rand.IntN(len(w.names))]
	switch n := w.rand.IntN(100); {
	case n < 25:
		s.reconcile("", name)
	case n < 40:
		s.reconcile("prod", "c-"+name)
	case n < 50:
		if c := store.Peek[metal.ServerClaim](s.store, "prod", "c-"+name); c != nil {
			s.told(c.DeepCopy())
		}
	case n < 62:
		for _, kind := range []string{"Server", "ServerClaim", "ServerInventory"} {
			s.view.Advance(kind, 1+w.rand.IntN(4))
		}
	case n < 70:
		s.plane.work(name)
	case n < 95:
		w.clusterctl()
	case n < 96:
		w.person(s, name)
	default:
		w.now = w.now.Add(time.Duration(w.rand.IntN(5000)) * time.Millisecond)
	}
}

// clusterctl goes on with a move, dies, or begins another; a person puts right what a dead one left.
func (w *world) clusterctl() {
	w.now = w.now.Add(time.Duration(w.rand.IntN(1000)) * time.Millisecond)
	switch {
	case w.mover != nil && w.dies > 0 && w.chance(0.01):
		w.note("clusterctl dies")
		w.mover, w.crashes = nil, w.crashes+1
	case w.mover != nil:
		before, to := w.moves, w.mover.to
		if w.mover.step(); w.moves > before {
			w.home = to
		}
	case w.chance(0.9):
	case w.home.cluster == nil: // it died after the last deletion
		other := w.other(w.home)
		other.cluster.paused, w.home, w.moves = false, other, w.moves+1
		w.note("a person lets the Cluster go on at the %s", other.name)
	case w.home.cluster.paused:
		w.home.cluster.paused, w.home.cluster.pausedAt = false, time.Time{}
		w.note("a person lets the Cluster go on at the %s", w.home.name)
	case w.moves < 4:
		w.begin(w.home, w.other(w.home))
	}
}

func (w *world) other(s *side) *side {
	if s == w.source {
		return w.target
	}
	return w.source
}

// person asks either installation for power.
func (w *world) person(s *side, name string) {
	v := store.Peek[metal.Server](s.store, "", name)
	if v == nil {
		return
	}
	w.ids++
	id := fmt.Sprintf("p%d", w.ids)
	before := v.DeepCopy()
	v = v.DeepCopy()
	v.Spec.PowerRequest = &metal.PowerRequest{ID: id, Action: metal.PowerActionCycle, RequestedAt: metav1.NewTime(w.now.Truncate(time.Second))}
	if w.admin(s).Patch(context.Background(), v, client.MergeFrom(before)) == nil {
		w.asked[id] = s
		w.note("a person asks the %s to cycle %s", s.name, name)
	}
}

// settled says that all is well in the end.
func (w *world) settled() string {
	for _, name := range w.names {
		v, left := store.Peek[metal.Server](w.home.store, "", name), store.Peek[metal.Server](w.other(w.home).store, "", name)
		if !w.manages(w.home, name) {
			return fmt.Sprintf("%s is not managed by the %s: %+v", name, w.home.name, v.Spec.Record.ManagedBy)
		}
		if left != nil && !left.Spec.Record.Foreign(w.other(w.home).name) && w.manages(w.other(w.home), name) {
			return name + " is managed at both ends"
		}
		if !slices.ContainsFunc(v.Status.Conditions, func(c metav1.Condition) bool { return c.Type == reasons.Ready && c.Reason == reasons.Running }) {
			return fmt.Sprintf("%s is not Running: %+v", name, v.Status.Conditions)
		}
		if c := store.Peek[metal.ServerClaim](w.home.store, "prod", "c-"+name); c == nil || c.Spec.Binding.BindingID != "b-"+name || c.DeletionTimestamp != nil {
			return "the claim of " + name + " is not where its server is"
		}
		if s := store.Peek[corev1.Secret](w.home.store, metal.SystemNamespace, "bmc-"+name); s == nil || string(s.Data["password"]) != "p" {
			return "the BMC Secret of " + name + " did not come along"
		}
	}
	return ""
}

// play runs a seed: accidents for a while, then a calm in which everything has to come right.
func play(seed uint64) *world {
	w := newWorld(seed)
	for range 4000 {
		if w.act(); w.broken != "" {
			return w
		}
	}
	w.dies, w.faults = 0, 0
	w.note("calm")
	for range 6000 {
		if w.act(); w.broken != "" {
			return w
		}
		if w.mover == nil && !(w.home.cluster != nil && w.home.cluster.paused) && w.home.cluster != nil && w.settled() == "" && w.moves > 0 {
			return w
		}
	}
	if why := w.settled(); why != "" || w.moves == 0 {
		w.fail("in the end: %s (%d moves)", why, w.moves)
	}
	return w
}

func TestTwoInstallations(t *testing.T) {
	if *one != 0 {
		w := play(*one)
		t.Logf("%s\n%d moves, %d crashes", strings.Join(w.story, "\n"), w.moves, w.crashes)
		if w.broken != "" {
			t.Fatal(w.broken)
		}
		return
	}
	var moves, crashes, gaveUp, obeyed int
	for seed := range uint64(*seeds) {
		w := play(seed + 1)
		if w.broken != "" {
			t.Fatalf("seed %d: %s\n%s", seed+1, w.broken, strings.Join(w.story[max(0, len(w.story)-60):], "\n"))
		}
		moves, crashes, gaveUp, obeyed = moves+w.moves, crashes+w.crashes, gaveUp+w.gaveUp, obeyed+w.obeyed
	}
	t.Logf("%d seeds: %d moves, %d that gave up, %d deaths, %d orders of persons obeyed", *seeds, moves, gaveUp, crashes, obeyed)
	if moves < *seeds || crashes == 0 || obeyed == 0 {
		t.Error("too little happened")
	}
}
