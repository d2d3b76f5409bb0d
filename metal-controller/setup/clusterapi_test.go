package setup_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotmachine"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/sfyra-tests/clusterapi"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// tenant is a namespace with a class, on an API server with the real core of Cluster API and the whole controller. Servers are declared wiped; their machines
// are the test, which does what a machine does over the network, and never writes what a controller writes.
type tenant struct {
	*controller
	t     *testing.T
	ns    string
	admin client.WithWatch
	core  *clusterapi.Core
	mu    sync.Mutex
	bmcs  map[string]*fakeBMC
}

func newTenant(t *testing.T) *tenant {
	t.Helper()
	w := &tenant{t: t, ns: testapi.Namespace(t), admin: admin(t), bmcs: map[string]*fakeBMC{}}
	w.controller = start(t, func(c *setup.Config) {
		c.ConfigListen = "127.0.0.1:0"
		c.OpenBMC = func(_ context.Context, target bmc.Target) (bmc.Driver, error) { return w.bmc(target.Host), nil }
	})
	core, err := clusterapi.Start(t.Context(), testapi.Config(t), t.TempDir()) // it comes after Ingot
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(core.Kill)
	w.core = core
	asset := &metal.Asset{URL: "http://127.0.0.1:1/a", SHA256: strings.Repeat("0", 64)}
	create(t,
		&metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64", Kernel: asset, Initramfs: asset}}}},
		&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Spec: metal.ServerClassSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tenant": w.ns}}, AllowedNamespaces: &metal.NamespaceSelection{Names: []string{w.ns}},
			EnvironmentRef: &metal.NameRef{Name: w.ns},
		}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "config"}, Data: map[string][]byte{"value": []byte("a: b\n")}},
	)
	return w
}

func (w *tenant) bmc(endpoint string) *fakeBMC {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bmcs[endpoint] == nil {
		w.bmcs[endpoint] = &fakeBMC{}
	}
	return w.bmcs[endpoint]
}

// server is one whose first wipe is over, in a rack.
func (w *tenant) server(name, rack string) *metal.Server {
	w.t.Helper()
	at := metav1.NewTime(time.Now().Truncate(time.Second))
	d := metal.DiskID{WWID: "naa." + name, Serial: "S-" + name}
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"tenant": w.ns, "rack": rack}}}
	s.Spec = metal.ServerSpec{
		Accepted: true, BMC: &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: name + ".bmc.example", CredentialsSecret: name},
		Record: &metal.ServerRecord{
			Acceptance: &metal.AcceptanceRecord{At: at, Disks: []metal.DiskID{d}}, ManagedBy: &metal.ManagedBy{Installation: w.installation(), Epoch: 1},
			Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, Disks: []metal.DiskID{d}, GrantedAt: at, Generation: 1, BootID: "b", VerifiedAt: &at},
		},
	}
	create(w.t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}, StringData: map[string]string{"username": "u", "password": "p"}})
	for _, o := range []client.Object{
		&metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{
			Arch: "amd64", System: metal.SystemInfo{Serial: "C-" + name}, CPUs: []metal.CPU{{Cores: 8}}, Memory: metal.Memory{TotalBytes: 16 << 30}, Agent: metal.AgentInfo{BootID: "b"}, ReportedAt: at,
			Disks: []metal.Disk{{Name: "sda", WWID: d.WWID, Serial: d.Serial, SizeBytes: 1 << 40, Transport: "sata", PCIAddress: "0000:00:02.0"}},
		}}, s,
	} {
		if err := w.ingot().Create(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
	eventually(w.t, name, func(s *metal.Server) bool { return hasReason(s, reasons.Ready, reasons.Available) })
	return s
}

func (w *tenant) installation() string {
	return string(secretOf(w.t, "ingot-installation").Data["id"])
}

// ingot is a client with the rights of the controllers.
func (w *tenant) ingot() client.Client {
	w.t.Helper()
	c, err := client.New(testapi.Config(w.t).ControllerConfig, client.Options{Scheme: w.admin.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// until waits until an object is as wanted.
func (w *tenant) until(what string, o client.Object, fits func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := w.admin.Get(ctx, client.ObjectKeyFromObject(o), o)
		if err == nil && fits() {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: %v %+v", what, err, o)
		case <-tick.C:
		}
	}
}

// gone waits until an object is not there any more.
func (w *tenant) gone(o client.Object) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := w.admin.Get(ctx, client.ObjectKeyFromObject(o), o)
		if err != nil && client.IgnoreNotFound(err) == nil {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("it is still there: %+v", o)
		case <-tick.C:
		}
	}
}

func (w *tenant) create(all ...client.Object) {
	w.t.Helper()
	for _, o := range all {
		if err := w.admin.Create(w.t.Context(), o); err != nil {
			w.t.Fatalf("%T: %v", o, err)
		}
	}
}

func (w *tenant) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.ns, Name: name}
}

// cluster makes a Cluster with its IngotCluster, whose control planes are spread over racks.
func (w *tenant) cluster(name string) (*clusterv1.Cluster, *infra.IngotCluster) {
	own := &infra.IngotCluster{ObjectMeta: w.meta(name), Spec: infra.IngotClusterSpec{
		FailureDomainKey: "rack", ControlPlaneSpread: &metal.Spread{Key: "rack"},
	}}
	cluster := &clusterv1.Cluster{ObjectMeta: w.meta(name), Spec: clusterv1.ClusterSpec{InfrastructureRef: w.ref("IngotCluster", name)}}
	w.create(own, cluster)
	return cluster, own
}

func (w *tenant) ref(kind, name string) clusterv1.ContractVersionedObjectReference {
	return clusterv1.ContractVersionedObjectReference{APIGroup: infra.GroupVersion.Group, Kind: kind, Name: name}
}

// machine makes a Machine with its IngotMachine, of which Cluster API knows no provider.
func (w *tenant) machine(cluster, name string, change func(*clusterv1.Machine)) (*clusterv1.Machine, *infra.IngotMachine) {
	own := &infra.IngotMachine{ObjectMeta: w.meta(name), Spec: infra.IngotMachineSpec{ClassName: w.ns}}
	m := &clusterv1.Machine{ObjectMeta: w.meta(name), Spec: clusterv1.MachineSpec{
		ClusterName: cluster, InfrastructureRef: w.ref("IngotMachine", name), Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr("config")},
	}}
	if change != nil {
		change(m)
	}
	w.create(own, m)
	return m, own
}

func ptr[T any](v T) *T { return &v }

// reason is that of an object's condition.
func reason(conditions []metav1.Condition, typ string) string {
	if c := meta.FindStatusCondition(conditions, typ); c != nil {
		return c.Reason
	}
	return ""
}

// installs is what a machine does after it was given an operating system to boot: it fetches its config, installs, and tells.
func (w *tenant) installs(own *infra.IngotMachine) *metal.Server {
	w.t.Helper()
	s, text := w.installsWith(own)
	if !strings.HasPrefix(text, "a: b") {
		w.t.Fatalf("the config of %s is %s", s.Name, text)
	}
	return s
}

// installsWith is installs, with the config that the machine got.
func (w *tenant) installsWith(own *infra.IngotMachine) (s *metal.Server, config string) {
	t := w.t
	t.Helper()
	w.until("a server for "+own.Name, own, func() bool { return own.Status.Server != "" })
	s = eventually(t, own.Status.Server, func(s *metal.Server) bool {
		b := s.Spec.Record.Boot
		return b != nil && b.Phase == metal.BootBooting && b.Target == metal.BootTargetOS
	})
	links := linksOf(t, w.controller)
	code, config := callPort(t, w.controller, http.MethodGet, links.ConfigURL(s.Name, s.Spec.Record.Boot.ID, false), "")
	if code != http.StatusOK {
		t.Fatalf("the config of %s: %d %s", s.Name, code, config)
	}
	signal := links.SignalURL(s.Name, s.Spec.Record.Claim.BindingID)
	for _, body := range []string{fmt.Sprintf(`{"phase":"installed","boot":%q}`, s.Spec.Record.Boot.ID), `{"phase":"running"}`} {
		if code, text := callPort(t, w.controller, http.MethodPost, signal, body); code/100 != 2 {
			t.Fatalf("%s of %s: %d %s", body, s.Name, code, text)
		}
	}
	return s, config
}

// goesOff lets the machine of a server obey, once it was asked to go off.
func (w *tenant) goesOff(name string) {
	w.t.Helper()
	eventually(w.t, name, func(s *metal.Server) bool { return s.Spec.Record.Release != nil })
	w.bmc(name + ".bmc.example").set(bmc.Off)
}

// TestClusterAPI drives Ingot by the real core of Cluster API: what the contract promises is read from the objects of Cluster API.
func TestClusterAPI(t *testing.T) {
	w := newTenant(t)
	for i, rack := range []string{"r2", "r2", "r1", "r2", "r2"} {
		w.server(fmt.Sprintf("%s-%d", w.ns, i), rack)
	}
	foreign := &infra.IngotCluster{ObjectMeta: w.meta("foreign"), Spec: infra.IngotClusterSpec{ControlPlaneEndpoint: infra.APIEndpoint{Host: "a", Port: 1}}}
	foreign.Labels = map[string]string{clusterv1.ManagedByAnnotation: "somebody"}
	w.create(foreign)
	cluster, own := w.cluster("c1")
	w.until("it waits for an endpoint", own, func() bool { return reason(own.Status.Conditions, "Ready") == reasons.EndpointMissing })
	controlPlane := map[string]string{clusterv1.MachineControlPlaneLabel: ""}
	m, machine := w.machine("c1", "m1", func(m *clusterv1.Machine) { m.Spec.FailureDomain, m.Labels = "r2", controlPlane })
	w.until("it waits for its Cluster", machine, func() bool { return reason(machine.Status.Conditions, "Ready") == reasons.ClusterNotProvisioned })

	patchOf(t, own, `{"spec":{"controlPlaneEndpoint":{"host":"api.example.org","port":6443}}}`)
	w.until("the Cluster took it over", cluster, func() bool {
		i := cluster.Status.Initialization.InfrastructureProvisioned
		return i != nil && *i && cluster.Spec.ControlPlaneEndpoint.Host == "api.example.org" && cluster.Spec.ControlPlaneEndpoint.Port == 6443
	})
	s := w.installs(machine)
	if s.Labels["rack"] != "r2" {
		t.Errorf("the Machine wants the rack r2, and is in %s", s.Labels["rack"])
	}
	w.until("the Machine took it over", m, func() bool {
		i := m.Status.Initialization.InfrastructureProvisioned
		return i != nil && *i && m.Spec.ProviderID == "ingot://"+s.Name && m.Status.FailureDomain == "r2" && reason(m.Status.Conditions, "InfrastructureReady") == reasons.Running
	})
	t.Run("a thousand reconciles after that write nothing", func(t *testing.T) { w.quiet(t, machine) })
	t.Run("the next control plane stands apart, and its claim stays its own", func(t *testing.T) { w.apart(t, "c1", controlPlane) })
	t.Run("what never got its config, or lost its owner, goes", w.unfinished)
	t.Run("what a template makes", w.capacity)
	t.Run("a MachineDeployment grows and shrinks", w.deployment)
	t.Run("paused, nothing is given back", func(t *testing.T) { w.paused(t, cluster, own, machine) })

	if err := w.admin.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	w.goesOff(s.Name)
	for _, o := range []client.Object{&metal.ServerClaim{ObjectMeta: w.meta("m1")}, machine, m, own, cluster} {
		w.gone(o)
	}
	if w.until("it is there", foreign, func() bool { return true }); len(foreign.Status.Conditions) > 0 || foreign.Status.Initialization.Provisioned != nil {
		t.Errorf("what somebody else manages got the status %+v", foreign.Status)
	}
	after := eventually(t, s.Name, func(s *metal.Server) bool { return s.Spec.Record.Claim == nil })
	if r := after.Spec.Record.Release; r == nil || r.OffAt == nil || r.Proof != metal.ProofPowerOff {
		t.Errorf("the machine was given back by %+v", r)
	}
}

// counting is a client that reads from a cache of its own, as reconcilers have it in a manager, and counts. stop ends the cache.
func (w *tenant) counting(t *testing.T) (c *countingClient, stop func()) {
	t.Helper()
	cached, err := cluster.New(testapi.Config(t).AdminConfig, func(o *cluster.Options) { o.Scheme = w.admin.Scheme() })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cached.Start(ctx) }()
	if !cached.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("the cache did not start")
	}
	return &countingClient{Client: cached.GetClient()}, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// quiet counts the writes of a reconciler that has nothing to do, with a cache as it has in a manager.
func (w *tenant) quiet(t *testing.T, machine *infra.IngotMachine) {
	w.until("it has converged", machine, func() bool { return reason(machine.Status.Conditions, "Ready") == reasons.Running })
	counting, stop := w.counting(t)
	r := &ingotmachine.Reconciler{Client: counting, Live: w.admin, Events: noEvents{}, Now: time.Now}
	for range 1000 {
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(machine)}); err != nil {
			t.Fatal(err)
		}
	}
	if counting.writes != 0 {
		t.Errorf("%d writes", counting.writes)
	}
	empty := client.RawPatch("application/merge-patch+json", []byte(`{}`))
	if err := errors.Join(counting.Patch(t.Context(), machine.DeepCopy(), empty), counting.Status().Patch(t.Context(), machine.DeepCopy(), empty)); err != nil || counting.writes != 2 {
		t.Errorf("control: two writes count as %d: %v", counting.writes, err)
	}
	stop()
}

// countingClient counts writes, and what is read one by one.
type countingClient struct {
	client.Client
	writes, reads int
}

func (c *countingClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	c.reads++
	return c.Client.Get(ctx, key, o, opts...)
}

func (c *countingClient) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	c.writes++
	return c.Client.Create(ctx, o, opts...)
}

func (c *countingClient) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	c.writes++
	return c.Client.Delete(ctx, o, opts...)
}

func (c *countingClient) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	c.writes++
	return c.Client.Patch(ctx, o, p, opts...)
}

func (c *countingClient) Status() client.SubResourceWriter {
	return &countingStatus{SubResourceWriter: c.Client.Status(), of: c}
}

type countingStatus struct {
	client.SubResourceWriter
	of *countingClient
}

func (c *countingStatus) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	c.of.writes++
	return c.SubResourceWriter.Patch(ctx, o, p, opts...)
}

// apart is a second control plane, which is not put beside the first though a server there comes first by name. Whoever deletes its claim does not get its server
// released: the Machine still wants it. Once that is deleted, it is.
func (w *tenant) apart(t *testing.T, cluster string, labels map[string]string) {
	m, own := w.machine(cluster, "m2", func(m *clusterv1.Machine) { m.Labels = labels })
	s := w.installs(own)
	if s.Labels["rack"] != "r1" {
		t.Errorf("it stands in %s, beside the other", s.Labels["rack"])
	}
	claim := &metal.ServerClaim{ObjectMeta: w.meta("m2")}
	if err := w.admin.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	held := eventually(t, s.Name, func(s *metal.Server) bool { return hasReason(s, reasons.Released, reasons.ReleasePaused) })
	w.until("the machine says so", own, func() bool { return reason(own.Status.Conditions, "Ready") == reasons.ReleasePaused })
	if held.Spec.Record.Release != nil || held.Spec.Record.Claim == nil {
		t.Errorf("it is released: %+v", held.Spec.Record)
	}
	if err := w.admin.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	w.goesOff(s.Name)
	for _, o := range []client.Object{claim, own, m} {
		w.gone(o)
	}
}

// unfinished are two machines whose Secret never came. One's Machine is deleted, the other's is gone by force. Neither hangs.
func (w *tenant) unfinished(t *testing.T) {
	for _, name := range []string{"m3", "m4"} {
		m, own := w.machine("c1", name, func(m *clusterv1.Machine) { m.Spec.Bootstrap.DataSecretName = ptr("never") })
		w.until("it says what it waits for", own, func() bool { return reason(own.Status.Conditions, "Ready") == reasons.ConfigMissing })
		if name == "m4" {
			patchOf(t, m, `{"metadata":{"finalizers":null}}`)
		}
		if err := w.admin.Delete(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		for _, o := range []client.Object{m, &metal.ServerClaim{ObjectMeta: w.meta(name)}, own} {
			w.gone(o)
		}
	}
}

// capacity is what the cluster autoscaler reads.
func (w *tenant) capacity(t *testing.T) {
	template := &infra.IngotMachineTemplate{ObjectMeta: w.meta("small"), Spec: infra.IngotMachineTemplateSpec{
		Template: infra.IngotMachineTemplateResource{Spec: infra.IngotMachineSpec{ClassName: w.ns}},
	}}
	w.create(template)
	w.until("its capacity", template, func() bool {
		s := template.Status
		cpu, memory := s.Capacity["cpu"], s.Capacity["memory"]
		return cpu.Value() == 8 && memory.Value() == 16<<30 && s.NodeInfo == infra.NodeInfo{Architecture: "amd64", OperatingSystem: "linux"}
	})
}

// deployment grows a MachineDeployment to one machine, and shrinks it again: its server is given back.
func (w *tenant) deployment(t *testing.T) {
	labels := map[string]string{"md": "workers"}
	d := &clusterv1.MachineDeployment{ObjectMeta: w.meta("workers"), Spec: clusterv1.MachineDeploymentSpec{ClusterName: "c1", Replicas: ptr(int32(1)), Selector: metav1.LabelSelector{MatchLabels: labels}}}
	d.Spec.Template = clusterv1.MachineTemplateSpec{ObjectMeta: clusterv1.ObjectMeta{Labels: labels}, Spec: clusterv1.MachineSpec{
		ClusterName: "c1", Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr("config")}, InfrastructureRef: w.ref("IngotMachineTemplate", "small"),
	}}
	w.create(d)
	var own infra.IngotMachine
	w.until("its machine", d, func() bool {
		var all infra.IngotMachineList
		if err := w.admin.List(t.Context(), &all, client.InNamespace(w.ns), client.MatchingLabels{clusterv1.MachineDeploymentNameLabel: d.Name}); err != nil || len(all.Items) != 1 {
			return false
		}
		own = all.Items[0]
		return true
	})
	s := w.installs(&own)
	claim := &metal.ServerClaim{ObjectMeta: w.meta(own.Name)}
	w.until("its claim", claim, func() bool {
		return claim.Labels[metal.ClusterRoleLabel] == metal.RoleWorker && claim.Labels[metal.DeploymentLabel] == d.Name && claim.Labels[metal.ClusterAPILabel] == "c1"
	})
	patchOf(t, d, `{"spec":{"replicas":0}}`)
	w.goesOff(s.Name)
	for _, o := range []client.Object{claim, &own, &clusterv1.Machine{ObjectMeta: w.meta(own.Name)}} {
		w.gone(o)
	}
}

// paused deletes a Machine of a paused Cluster: its IngotMachine, claim and server stay. The end of TestClusterAPI is the control.
func (w *tenant) paused(t *testing.T, cluster *clusterv1.Cluster, own *infra.IngotCluster, machine *infra.IngotMachine) {
	patchOf(t, cluster, `{"spec":{"paused":true}}`)
	w.until("its infrastructure says that it is paused", own, func() bool { return meta.IsStatusConditionTrue(own.Status.Conditions, clusterv1.PausedCondition) })
	w.until("it says that it is paused", machine, func() bool { return meta.IsStatusConditionTrue(machine.Status.Conditions, clusterv1.PausedCondition) })
	claim := &metal.ServerClaim{ObjectMeta: w.meta(machine.Name)}
	if err := w.admin.Delete(t.Context(), machine.DeepCopy()); err != nil { // the core is paused, so somebody else does it
		t.Fatal(err)
	}
	r := &ingotmachine.Reconciler{Client: w.admin, Live: w.admin, Events: noEvents{}, Now: time.Now}
	for range 10 {
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(machine)}); err != nil {
			t.Fatal(err)
		}
	}
	w.until("its claim stays", claim, func() bool { return claim.DeletionTimestamp.IsZero() })
	patchOf(t, cluster, `{"spec":{"paused":null}}`)
	w.until("unpaused, its claim goes", claim, func() bool { return !claim.DeletionTimestamp.IsZero() })
}

type noEvents struct{}

func (noEvents) Event(client.ObjectKey, bool, string, string) {}

// patchOf is what an administrator, or a program of his, changes.
func patchOf(t *testing.T, o client.Object, merge string) {
	t.Helper()
	if err := admin(t).Patch(t.Context(), o.DeepCopyObject().(client.Object), client.RawPatch("application/merge-patch+json", []byte(merge))); err != nil {
		t.Fatal(err)
	}
}
