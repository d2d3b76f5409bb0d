package proof_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// sibling is another machine of the cluster, which is installed and runs.
type sibling struct {
	machine *talostest.Machine
	claim   *metal.ServerClaim
	name    string
}

// newCluster is a world whose server runs as a control plane of the cluster c1, with another one beside it. etcd has both.
func newCluster(t *testing.T) (*world, sibling) {
	t.Helper()
	w := newWorld(t, func(w *world, s *setting) {
		s.config, s.cluster, s.talosconfig = w.cluster.ControlPlane(), "c1", string(w.cluster.Talosconfig("os:admin"))
	})
	w.says(running, true, disk)
	w.ask()
	if w.proven() != "running" {
		t.Fatalf("control: the server is %q", w.proven())
	}
	s := sibling{name: w.name + "2"}
	const other = "6f1f1a5e-0001-4000-8000-0000000000bb"
	s.machine = w.cluster.Listen(t, "127.0.0.2:"+strconv.Itoa(w.machine.Port), talostest.State{Tag: "v1.13.0", UUID: other, Cmdline: disk, OnDisk: true, Stage: running, Members: []*machine.EtcdMember{
		{Id: 1, Hostname: w.name, PeerUrls: []string{"https://127.0.0.1:2380"}}, {Id: 2, Hostname: s.name, PeerUrls: []string{"https://127.0.0.2:2380"}},
	}})
	s.claim = &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: w.claim.Namespace, Name: "web2", Labels: map[string]string{metal.ClusterAPILabel: "c1"}}, Spec: metal.ServerClaimSpec{
		ClassName: w.name, ConfigSecret: "web", Binding: &metal.Binding{Server: s.name, BindingID: "bind2"},
	}}
	r := record(s.claim, w.name)
	at := metav1.NewTime(epoch)
	r.Claim.BindingID, r.Boot = "bind2", nil
	r.Installed = &metal.InstalledRecord{BootID: "boot2", BindingID: "bind2", At: at, RunningAt: &at, Environment: w.name, Config: &metal.ConfigRelease{SHA256: strings.Repeat("b", 64), Source: "127.0.0.2", At: at}}
	w.create(w.ingot, s.claim, &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: s.name}, Spec: metal.ServerInventorySpec{Arch: "amd64", System: metal.SystemInfo{UUID: other}}},
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: s.name}, Spec: metal.ServerSpec{Record: r}})
	return w, s
}

// give deletes a claim; its finalizer keeps it until the test ends.
func (w *world) give(c *metal.ServerClaim) {
	w.t.Helper()
	live := &metal.ServerClaim{}
	if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(c), live); err != nil {
		w.t.Fatal(err)
	}
	live.Finalizers = append(live.Finalizers, metal.ReleaseFinalizer)
	if err := w.ingot.Update(w.t.Context(), live); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if w.admin.Get(context.Background(), client.ObjectKeyFromObject(c), live) == nil {
			live.Finalizers = nil
			_ = w.ingot.Update(context.Background(), live)
		}
	})
	if err := w.admin.Delete(w.t.Context(), live); err != nil {
		w.t.Fatal(err)
	}
	if c == w.claim { // as lifecycle does once it sees that
		w.edit(func(r *metal.ServerRecord) { at := metav1.NewTime(w.clock()); r.Claim.LeavingAt = &at })
	}
}

// has says whether the sibling was told something.
func (s sibling) has(what string) bool {
	asked, _ := s.machine.Asked()
	return slices.Contains(asked, what)
}

// hasLeft is whether the record says that nothing holds the server.
func (w *world) hasLeft() bool {
	w.t.Helper()
	return w.server().Spec.Record.Claim.LeftAt != nil
}

// TestFarewell: once its claim is deleted, and not before, another control plane takes the server out of etcd, and that is recorded.
func TestFarewell(t *testing.T) {
	w, s := newCluster(t)
	if w.ask(); w.hasLeft() || s.has("Members") {
		t.Fatal("control: a server whose claim lives has left")
	}
	w.edit(func(r *metal.ServerRecord) { at := metav1.NewTime(w.clock()); r.Claim.LeavingAt = &at })
	if w.ask(); w.hasLeft() || s.has("Members") {
		t.Fatal("a server whose claim is not deleted has left")
	}
	w.give(w.claim)
	if w.reconcile(); !w.hasLeft() || !s.has("Remove") {
		t.Errorf("left: %t, removed: %t, told %v", w.hasLeft(), s.has("Remove"), w.told())
	}
	if told := w.told(); len(told) != 1 || !strings.HasPrefix(told[0], reasons.EtcdLeft) || !strings.Contains(told[0], s.name) {
		t.Errorf("people were told %v", told)
	}
}

// TestFarewellKept: while etcd does not let the member go, nobody has left, and a person hears why at once; it goes on by itself.
func TestFarewellKept(t *testing.T) {
	w, s := newCluster(t)
	s.machine.Set(func(v *talostest.State) {
		v.Before = func(_ context.Context, asked string) error {
			if asked == "Remove" {
				return status.Error(codes.Unknown, "canary")
			}
			return nil
		}
	})
	w.give(w.claim)
	if w.reconcile(); w.hasLeft() || !s.has("Remove") {
		t.Fatalf("left: %t, removed: %t", w.hasLeft(), s.has("Remove"))
	}
	if told := w.told(); len(told) != 1 || !strings.HasPrefix(told[0], reasons.EtcdMemberKept) || !strings.Contains(told[0], "majority") || strings.Contains(told[0], "canary") {
		t.Errorf("people were told %v", told)
	}
	s.machine.Set(func(v *talostest.State) { v.Before = nil })
	if w.ask(); !w.hasLeft() {
		t.Error("etcd lets it go, and it has not left")
	}
}

// TestFarewellOfAll: when the whole cluster goes nobody is asked; when one machine of it stays, a control plane that cannot help holds the server.
func TestFarewellOfAll(t *testing.T) {
	w, s := newCluster(t)
	s.machine.Stop()
	w.give(w.claim)
	if w.reconcile(); w.hasLeft() {
		t.Fatal("control: the other one stays and does not answer, and the server has left")
	}
	w.give(s.claim)
	if w.ask(); !w.hasLeft() || s.has("Members") {
		t.Errorf("left: %t, asked: %t", w.hasLeft(), s.has("Members"))
	}
}

// TestFarewellOfTheLast: the only control plane does not leave its workers; a worker leaves its control plane without a word to etcd.
func TestFarewellOfTheLast(t *testing.T) {
	for name, c := range map[string]struct {
		worker func(w *world, s sibling) *metal.ServerClaim
		left   bool
	}{
		"the control plane goes": {func(_ *world, s sibling) *metal.ServerClaim { return s.claim }, false},
		"the worker goes":        {func(w *world, _ sibling) *metal.ServerClaim { return w.claim }, true},
	} {
		w, s := newCluster(t)
		s.machine.Set(func(v *talostest.State) { v.Members = nil })
		worker := c.worker(w, s)
		live := &metal.ServerClaim{}
		if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(worker), live); err != nil {
			t.Fatal(err)
		}
		live.Labels[metal.ClusterRoleLabel] = metal.RoleWorker
		if err := w.admin.Update(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		w.give(w.claim)
		if w.reconcile(); w.hasLeft() != c.left {
			t.Errorf("%s: left: %t, told %v", name, w.hasLeft(), w.told())
		}
	}
}

// TestFarewellUnsure: a name and an address that mean two members remove neither; one that is no member has left.
func TestFarewellUnsure(t *testing.T) {
	w, s := newCluster(t)
	s.machine.Set(func(v *talostest.State) {
		v.Members[0].PeerUrls, v.Members[1].PeerUrls = v.Members[1].PeerUrls, v.Members[0].PeerUrls
	})
	w.give(w.claim)
	if w.reconcile(); w.hasLeft() || s.has("Remove") {
		t.Fatalf("left: %t, removed: %t", w.hasLeft(), s.has("Remove"))
	}
	s.machine.Set(func(v *talostest.State) {
		v.Members[0].Hostname, v.Members[0].PeerUrls, v.Members[1].PeerUrls = "x", []string{"https://192.0.2.9:2380"}, nil
	})
	if w.ask(); !w.hasLeft() || s.has("Remove") {
		t.Errorf("left: %t, removed: %t", w.hasLeft(), s.has("Remove"))
	}
}
