//go:build e2e

package setup_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/sfyra-tests/clusterapi"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// after is how long both controllers live on after a move.
const after = 10 * time.Minute

// destination is a second management cluster: another API server with the real core of Cluster API, and another installation that reaches the same BMCs.
type destination struct {
	*tenant
	api *testapi.API
}

func newDestination(t *testing.T, from *tenant) *destination {
	t.Helper()
	bin, err := testapi.Binary()
	if err != nil {
		t.Fatal(err)
	}
	p, err := testapi.Start(bin, filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	c, err := client.NewWithWatch(p.AdminConfig, client.Options{Scheme: from.admin.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	w := &destination{api: p.API, tenant: &tenant{t: t, ns: from.ns, admin: c, bmcs: from.bmcs}}
	start(t, func(c *setup.Config) {
		c.REST = p.ControllerConfig
		c.OpenBMC = func(_ context.Context, target bmc.Target) (bmc.Driver, error) { return from.bmc(target.Host), nil }
	})
	core, err := clusterapi.Start(t.Context(), p.API, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(core.Kill)
	providers(t, core, c)
	return w
}

// providers is the inventory that clusterctl keeps of what it installed.
func providers(t *testing.T, core *clusterapi.Core, c client.Client) {
	t.Helper()
	if err := core.Kinds(t.Context(), "cmd/clusterctl/config/crd/bases/*.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, p := range [][4]string{{"capi-system", "cluster-api", "CoreProvider", clusterapi.Version}, {metal.SystemNamespace, "infrastructure-ingot", "InfrastructureProvider", "v0.1.0"}} {
		o := &unstructured.Unstructured{Object: map[string]any{"type": p[2], "providerName": strings.TrimPrefix(p[1], "infrastructure-"), "version": p[3]}}
		o.SetAPIVersion("clusterctl.cluster.x-k8s.io/v1alpha3")
		o.SetKind("Provider")
		o.SetNamespace(p[0])
		o.SetName(p[1])
		o.SetLabels(map[string]string{"cluster.x-k8s.io/provider": p[1], "clusterctl.cluster.x-k8s.io": "", "clusterctl.cluster.x-k8s.io/core": "inventory"})
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// workload is the API server of a workload cluster, for which the source's own stands in, and a Node that a kubelet would register.
func (w *tenant) workload(cluster string, servers ...string) {
	w.t.Helper()
	text, err := os.ReadFile(testapi.Config(w.t).Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	create(w.t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: cluster + "-kubeconfig", Labels: map[string]string{clusterv1.ClusterNameLabel: cluster}},
		Type:       clusterv1.ClusterSecretType, Data: map[string][]byte{"value": text},
	})
	for _, s := range servers {
		create(w.t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + s}, Spec: corev1.NodeSpec{ProviderID: "ingot://" + s}})
	}
}

// running makes a cluster with a control plane machine that runs on a server.
func (w *tenant) running(cluster string) *metal.Server {
	w.t.Helper()
	c, own := w.cluster(cluster)
	patchOf(w.t, own, `{"spec":{"controlPlaneEndpoint":{"host":"api.example.org","port":6443}}}`)
	m, machine := w.machine(cluster, cluster+"-cp", func(m *clusterv1.Machine) { m.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""} })
	s := w.installs(machine)
	w.workload(cluster, s.Name)
	w.until("the Machine has its Node", m, func() bool { return m.Status.NodeRef.IsDefined() })
	w.until("the control plane is there", c, func() bool {
		for _, x := range c.Status.Conditions {
			if x.Type == clusterv1.ClusterControlPlaneInitializedCondition && x.Status == metav1.ConditionTrue {
				return true
			}
		}
		return false
	})
	return s
}

// orders are all orders that BMCs ever got.
func (w *tenant) orders() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for name, f := range w.bmcs {
		f.mu.Lock()
		out = append(out, fmt.Sprintf("%s %v, %d others", name, f.calls, f.hints))
		f.mu.Unlock()
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func (w *tenant) get(name string) *metal.Server {
	w.t.Helper()
	s := &metal.Server{}
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: name}, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// knows registers a machine at the target, as one that booted there before anybody accepted it.
func (w *destination) knows(s *metal.Server, inventory *metal.ServerInventory) {
	w.t.Helper()
	ingot, err := client.New(w.api.ControllerConfig, client.Options{Scheme: w.admin.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	own := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: s.Name}, Spec: metal.ServerSpec{Identity: &metal.Identity{Manufacturer: "M", Serial: inventory.Spec.System.Serial}}}
	for _, o := range []client.Object{&metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: s.Name}, Spec: inventory.Spec}, own} {
		if err := ingot.Create(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
	w.until("the target manages what registered with it", own, func() bool { return own.Spec.Record != nil && own.Spec.Record.ManagedBy != nil })
}

// move runs clusterctl.
func (w *tenant) move(ctl string, to *destination) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), ctl, "move", "--kubeconfig", testapi.Config(w.t).Kubeconfig, "--to-kubeconfig", to.api.Kubeconfig, "--namespace", w.ns, "-v", "5")
	cmd.Env = append(os.Environ(), "CLUSTERCTL_DISABLE_VERSIONCHECK=true", "HOME="+w.t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		var servers metal.ServerList
		_ = w.admin.List(context.Background(), &servers)
		for _, s := range servers.Items {
			out = fmt.Appendf(out, "\n%s %+v %+v", s.Name, s.Spec.Record.ManagedBy, s.Status.Conditions)
		}
		w.t.Fatalf("%v\n%s", err, out)
	}
}

// unlock lets the end of the test delete what is in use.
func (w *tenant) unlock() {
	var all metal.ServerList
	if err := w.admin.List(context.Background(), &all); err != nil {
		w.t.Error(err)
	}
	for i := range all.Items {
		if err := w.admin.Patch(context.Background(), &all.Items[i], client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"metal.ingot.dev/lock":null}}}`))); err != nil {
			w.t.Error(err)
		}
	}
}

// TestMove moves one of two namespaces with the real clusterctl from one API server to another, with both controllers alive. The oracle is the BMCs, which count
// every order: none comes, however long. One of the two servers is registered at the target already. What is left at the source is dead, also when a person asks
// it; the other namespace's server stays the source's own, and an unclaimed one until a person hands it over. The control is an order of the target's.
func TestMove(t *testing.T) {
	ctl, err := clusterapi.Clusterctl()
	if err != nil {
		t.Fatal(err)
	}
	w := newTenant(t)
	providers(t, w.core, w.admin)
	patchOf(t, &corev1.Secret{ObjectMeta: w.meta("config")}, `{"metadata":{"labels":{"clusterctl.cluster.x-k8s.io/move":""}}}`)
	for i := range 4 {
		w.server(fmt.Sprintf("%s-%d", w.ns, i), fmt.Sprintf("r%d", i))
	}
	known := w.running("c1")
	_, worker := w.machine("c1", "c1-worker", nil)
	fresh := w.installs(worker)
	create(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + fresh.Name}, Spec: corev1.NodeSpec{ProviderID: "ingot://" + fresh.Name}})
	m := &clusterv1.Machine{ObjectMeta: w.meta("c1-worker")}
	w.until("the Machine has its Node", m, func() bool { return m.Status.NodeRef.IsDefined() })
	stays := w.elsewhere()
	unclaimed := w.unclaimed()
	to := newDestination(t, w)
	var inventory metal.ServerInventory
	if err := w.admin.Get(t.Context(), client.ObjectKey{Name: known.Name}, &inventory); err != nil {
		t.Fatal(err)
	}
	to.knows(known, &inventory)
	t.Cleanup(w.unlock)
	before := w.orders()
	w.move(ctl, to)
	for _, s := range []*metal.Server{known, fresh} {
		to.has(s, w.get(s.Name))
	}
	t.Run("what is left is dead", func(t *testing.T) { w.dead(t, known, fresh) })
	t.Run("the other namespace stays", func(t *testing.T) { w.stays(t, to, stays) })
	<-time.After(after)
	if now := w.orders(); now != before {
		t.Errorf("BMCs were ordered:\n%s\nbefore:\n%s", now, before)
	}
	to.hasMachine("c1-cp", known)
	to.hasMachine("c1-worker", fresh)
	t.Run("a person hands a server over", func(t *testing.T) { w.adopted(t, to, unclaimed) })
	if now := w.orders(); now != before {
		t.Errorf("BMCs were ordered:\n%s\nbefore:\n%s", now, before)
	}
	t.Run("control: the target reaches the BMC", func(t *testing.T) {
		to.patch(&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: fresh.Name}}, fmt.Sprintf(`{"spec":{"powerRequest":{"id":"p1","action":"Cycle","requestedAt":%q}}}`, time.Now().UTC().Format(time.RFC3339)))
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: fresh.Name}}
		to.until("it was cycled", s, func() bool { p := s.Spec.Record.Power; return p != nil && p.ID == "p1" && p.Step == metal.PowerDone })
		if now := w.orders(); now == before {
			t.Error("no BMC was ordered")
		}
	})
}

// has checks that the target took a server over as it was, and that its workload runs there.
func (w *destination) has(was, left *metal.Server) {
	w.t.Helper()
	there, claim := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: was.Name}}, was.Spec.Record.Claim
	w.until("the target took it over, and its workload runs", there, func() bool {
		r := there.Spec.Record
		return r != nil && r.ManagedBy.LetGo == nil && r.ManagedBy.Epoch > 1 && r.ManagedBy.Installation != left.Spec.Record.ManagedBy.Installation && hasReason(there, reasons.Ready, reasons.Running)
	})
	if r := there.Spec.Record; r.ManagedBy.Object != string(there.UID) || r.Claim.BindingID != claim.BindingID || r.Installed == nil || r.Unverified != nil || r.Acceptance == nil || !there.Spec.Accepted {
		w.t.Errorf("it came as %+v, accepted %t", r, there.Spec.Accepted)
	}
	if m := left.Spec.Record.ManagedBy; m.LetGo == nil || m.LetGo.PackedAt == nil {
		w.t.Errorf("the source did not let it go: %+v", m)
	}
	w.until("the BMC answers the target", there, func() bool { return hasReason(there, reasons.BMCReachable, reasons.BMCAnswers) })
	passport := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: lifecycle.PassportSecret(was.Name)}}
	w.until("its passport is empty again", passport, func() bool { return len(passport.Data) == 0 })
}

func (w *destination) hasMachine(name string, s *metal.Server) {
	w.t.Helper()
	machine := &infra.IngotMachine{ObjectMeta: w.meta(name)}
	w.until("the machine has its server still", machine, func() bool {
		return machine.Status.Server == s.Name && machine.Spec.ProviderID == "ingot://"+s.Name && reason(machine.Status.Conditions, "Ready") == reasons.Running
	})
}

// dead asks the source for everything that a person can ask for.
func (w *tenant) dead(t *testing.T, all ...*metal.Server) {
	for _, s := range all {
		now := time.Now().UTC().Format(time.RFC3339)
		patchOf(t, s, fmt.Sprintf(`{"spec":{"powerRequest":{"id":"off","action":"Off","requestedAt":%q},"acceptRequest":{"id":"wipe","wipeData":[{"wwid":%q,"serial":%q}],"requestedAt":%q},
			"releaseRequest":{"id":"r","bindingID":%q,"confirmPoweredOff":true,"requestedAt":%q}}}`, now, "naa."+s.Name, "S-"+s.Name, now, s.Spec.Record.Claim.BindingID, now))
		left := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: s.Name}}
		w.until("it is not ours", left, func() bool {
			return hasReason(left, reasons.Ready, reasons.UnmanagedHere) && left.Status.Boot.Target == metal.BootTargetNoAnswer && left.Status.ObservedGeneration == left.Generation
		})
		if r := left.Spec.Record; r.Power != nil || r.Release != nil || r.AcceptRequest == "wipe" || r.Claim == nil {
			t.Errorf("the source obeyed: %+v", r)
		}
	}
}

// elsewhere is a server with a claim in another namespace.
func (w *tenant) elsewhere() *metal.Server {
	w.t.Helper()
	other := testapi.Namespace(w.t)
	patchOf(w.t, &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}, fmt.Sprintf(`{"spec":{"allowedNamespaces":{"names":[%q,%q]}}}`, w.ns, other))
	claim := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "stays"}, Spec: metal.ServerClaimSpec{ClassName: w.ns, ConfigSecret: "config"}}
	create(w.t, claim)
	w.until("a server", claim, func() bool { return claim.Spec.Binding != nil })
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: claim.Spec.Binding.Server}}
	w.until("both sides", s, func() bool { return s.Spec.Record.Claim != nil && s.Spec.Record.Claim.BoundAt != nil })
	return s
}

// unclaimed is the server that is left.
func (w *tenant) unclaimed() *metal.Server {
	w.t.Helper()
	var all metal.ServerList
	if err := w.admin.List(w.t.Context(), &all); err != nil {
		w.t.Fatal(err)
	}
	for i := range all.Items {
		if all.Items[i].Spec.Record.Claim == nil {
			return &all.Items[i]
		}
	}
	w.t.Fatal("every server is claimed")
	return nil
}

// stays checks that a server is the source's own, and only shown at the target.
func (w *tenant) stays(t *testing.T, to *destination, s *metal.Server) {
	here, there := w.get(s.Name), &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: s.Name}}
	to.until("it is shown", there, func() bool { return hasReason(there, reasons.Ready, reasons.UnmanagedHere) })
	if a, b := here.Spec.Record.ManagedBy, there.Spec.Record.ManagedBy; a.LetGo != nil || a.Installation != b.Installation || a.Epoch != b.Epoch {
		t.Errorf("here %+v, there %+v", a, b)
	}
}

// adopted hands an unclaimed server over by a person's words alone: first it is let go, then taken. Before it is let go the target refuses.
func (w *tenant) adopted(t *testing.T, to *destination, s *metal.Server) {
	there := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: s.Name}}
	now := time.Now().UTC().Format(time.RFC3339)
	to.patch(there, fmt.Sprintf(`{"spec":{"ownerRequest":{"id":"a1","action":"Adopt","epoch":1,"requestedAt":%q}}}`, now))
	to.until("it is refused", there, func() bool { return hasReason(there, reasons.HandedOver, reasons.OwnerRequestExpired) })
	to.patch(there, fmt.Sprintf(`{"spec":{"ownerRequest":{"id":"a2","action":"Adopt","epoch":1,"force":true,"requestedAt":%q}}}`, now))
	to.until("it is taken, and not believed", there, func() bool {
		r := there.Spec.Record
		return r.ManagedBy.Epoch == 2 && r.Unverified != nil && r.Unverified.Reason == reasons.Adopted
	})
}

func (w *destination) patch(o client.Object, merge string) {
	w.t.Helper()
	if err := w.admin.Patch(w.t.Context(), o.DeepCopyObject().(client.Object), client.RawPatch("application/merge-patch+json", []byte(merge))); err != nil {
		w.t.Fatal(err)
	}
}
