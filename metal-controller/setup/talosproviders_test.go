//go:build e2e

package setup_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	talosmachine "github.com/siderolabs/talos/pkg/machinery/config/machine"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/sfyra-tests/clusterapi"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const apiHost = "api.example.org"

// TestTalosProviders: the template of the release, as the real clusterctl fills it in, becomes machines of Ingot by the real core and the real Talos providers, each in
// its own rights: secrets and machine configs, claims, servers. It grows by a worker, and is deleted. Only the machines' own part is the test's; a Talos that answers
// is the scenario's (TestClusterLifecycle).
func TestTalosProviders(t *testing.T) {
	w := newTenant(t)
	providers, err := clusterapi.StartProviders(t.Context(), testapi.Config(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if providers.Kill(); t.Failed() {
			t.Logf("the Talos providers said:\n%s", providers.Stderr())
		}
	})
	for i := range 2 {
		w.server(fmt.Sprintf("%s-%d", w.ns, i), "r1")
	}
	w.create(&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-talos"}, Spec: metal.ServerClassSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tenant": w.ns}}, AllowedNamespaces: &metal.NamespaceSelection{Names: []string{w.ns}},
		EnvironmentRef: &metal.NameRef{Name: w.ns}, InstallDisk: &metal.InstallDisk{Prefer: metal.PreferSmallest},
	}})
	t.Run("webhooks refuse what their providers do not take", w.refused)
	for _, o := range w.generated() {
		w.create(o)
	}
	cluster := &clusterv1.Cluster{ObjectMeta: w.meta("lab")}
	servers := w.getConfigs(t, 2, talosmachine.TypeControlPlane, talosmachine.TypeWorker)
	t.Run("the cluster's credentials", w.credentials)
	t.Run("the program ends when it is told to, and goes on where it was", func(t *testing.T) { ends(t, providers) })
	t.Run("ingot cluster makes objects that are taken as well", w.command) // while no server is left for them
	w.server(w.ns+"-2", "r1")
	d := &clusterv1.MachineDeployment{ObjectMeta: w.meta("lab-workers")}
	w.until("it is there", d, func() bool { return true })
	patchOf(t, d, `{"spec":{"replicas":2}}`)
	servers = append(servers, w.getConfigs(t, 3, talosmachine.TypeWorker)...)

	if err := w.admin.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	for _, s := range slices.Backward(servers) { // the control plane is the last to go
		w.goesOff(s)
	}
	w.gone(cluster)
	for _, s := range servers {
		eventually(t, s, func(s *metal.Server) bool {
			return s.Spec.Record.Claim == nil && s.Spec.Record.Release.Proof == metal.ProofPowerOff
		})
	}
	w.gone(&corev1.Secret{ObjectMeta: w.meta("lab-talos")})
}

// generated are the objects of the release's template.
func (w *tenant) generated() (objects []client.Object) {
	w.t.Helper()
	bin, err := clusterapi.Clusterctl()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), bin, "generate", "yaml", "--from", "../config/clusterctl/cluster-template.yaml")
	cmd.Env = append(os.Environ(), "CLUSTERCTL_DISABLE_VERSIONCHECK=true", "HOME="+w.t.TempDir(), "CLUSTER_NAME=lab", "NAMESPACE="+w.ns, "CONTROL_PLANE_HOST="+apiHost,
		"CONTROL_PLANE_CLASS="+w.ns+"-talos", "WORKER_CLASS="+w.ns+"-talos", "TALOS_VERSION=v1.13", "KUBERNETES_VERSION=v1.36.0", "CONTROL_PLANE_MACHINE_COUNT=1", "WORKER_MACHINE_COUNT=1")
	text, err := cmd.Output()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			w.t.Fatal(err)
		}
		objects = append(objects, o)
	}
	return objects
}

// refused: the control is that the same object is taken without its fault.
func (w *tenant) refused(t *testing.T) {
	for typ, taken := range map[string]bool{"RollingUpdate": true, "Magic": false} {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "controlplane.cluster.x-k8s.io/v1alpha3", "kind": "TalosControlPlane", "spec": map[string]any{
			"version": "v1.36.0", "rolloutStrategy": map[string]any{"type": typ}, "controlPlaneConfig": map[string]any{"controlplane": map[string]any{"generateType": "controlplane"}},
			"infrastructureTemplate": map[string]any{"apiVersion": infra.GroupVersion.String(), "kind": "IngotMachineTemplate", "name": "none"},
		}}}
		o.SetNamespace(w.ns)
		o.SetName("probe")
		if err := w.admin.Create(t.Context(), o, client.DryRunAll); (err == nil) != taken {
			t.Errorf("a rollout strategy %s: %v", typ, err)
		}
	}
}

// getConfigs waits for so many machines in all, and lets those that have none yet install themselves; their configs are looked at as Talos does. It returns their servers, those of control planes first.
func (w *tenant) getConfigs(t *testing.T, all int, types ...talosmachine.Type) (servers []string) {
	t.Helper()
	for _, own := range w.machines(t, all) {
		if own.Status.Initialization.Provisioned != nil {
			continue
		}
		s, text := w.installsWith(&own)
		config, err := configloader.NewFromBytes([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, controlPlane := own.Labels[clusterv1.MachineControlPlaneLabel]
		kind, c := config.Machine().Type(), config.RawV1Alpha1()
		if (kind == talosmachine.TypeControlPlane) != controlPlane || !slices.Contains(types, kind) || config.Cluster().Endpoint().Host != apiHost+":6443" {
			t.Errorf("%s has the label of a control plane: %t; its config is of a %s, and of %s", own.Name, controlPlane, kind, config.Cluster().Endpoint())
		}
		if !strings.Contains(text, "provider-id: ingot://"+s.Name) {
			t.Errorf("%s: the config does not say that its kubelet's providerID is that of %s", own.Name, s.Name)
		}
		if key := len(c.MachineConfig.MachineCA.Key) > 0; key != controlPlane {
			t.Errorf("%s: the key of Talos' authority is in it: %t", own.Name, key)
		}
		claim := &metal.ServerClaim{ObjectMeta: w.meta(own.Name)}
		w.until("its claim", claim, func() bool { return claim.Spec.Binding != nil })
		if role := claim.Labels[metal.ClusterRoleLabel]; (role == metal.RoleControlPlane) != controlPlane || claim.Cluster() != "lab" || claim.Spec.BootstrapEtcd {
			t.Errorf("%s: the claim has the labels %v, and is asked to begin etcd: %t", own.Name, claim.Labels, claim.Spec.BootstrapEtcd)
		}
		if controlPlane {
			servers = slices.Insert(servers, 0, s.Name)
		} else {
			servers = append(servers, s.Name)
		}
	}
	return servers
}

// machines waits until the cluster has so many that have a server.
func (w *tenant) machines(t *testing.T, n int) []infra.IngotMachine {
	t.Helper()
	var list infra.IngotMachineList
	cluster := &clusterv1.Cluster{ObjectMeta: w.meta("lab")}
	w.until(fmt.Sprintf("%d machines", n), cluster, func() bool {
		err := w.admin.List(t.Context(), &list, client.InNamespace(w.ns), client.MatchingLabels{clusterv1.ClusterNameLabel: "lab"})
		return err == nil && len(list.Items) == n && !slices.ContainsFunc(list.Items, func(m infra.IngotMachine) bool { return m.Status.Server == "" })
	})
	return list.Items
}

// credentials: Kubernetes' client and Ingot's own for Talos take what the providers made.
func (w *tenant) credentials(t *testing.T) {
	for name, key := range map[string]string{"lab-talos": "bundle", "lab-ca": "tls.key", "lab-kubeconfig": "value", "lab-talosconfig": "talosconfig"} {
		s := &corev1.Secret{ObjectMeta: w.meta(name)}
		w.until("the Secret "+name, s, func() bool { return len(s.Data[key]) > 0 })
		var err error
		switch name {
		case "lab-kubeconfig":
			_, err = clientcmd.RESTConfigFromKubeConfig(s.Data[key])
		case "lab-talosconfig":
			_, err = talos.ParseTalosconfig(s.Data[key])
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ends: SIGTERM ends the program well, and it can be started again.
func ends(t *testing.T, p *clusterapi.Providers) {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, p.Stderr())
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// command: `ingot cluster create` prints what it would make, makes it, raises its numbers, and knows its endpoint and its end. It gets no servers: there are none left.
func (w *tenant) command(t *testing.T) {
	line := []string{"create", "own", "--class", w.ns + "-talos", "--endpoint", "https://api.example.org", "--kubernetes-version", "1.36.0"}
	printed, err := w.asPerson(t, append(line, "--workers", "1", "--dry-run", "-o", "yaml")...)
	if err != nil {
		t.Fatalf("%v %s", err, printed)
	}
	for _, document := range strings.Split(printed, "---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		if err := client.WithFieldValidation(w.admin, metav1.FieldValidationStrict).Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	for _, more := range [][]string{{}, {"--workers", "1"}} {
		if said, err := w.asPerson(t, append(line, more...)...); err != nil {
			t.Fatalf("%v %s", err, said)
		}
	}
	d := &clusterv1.MachineDeployment{ObjectMeta: w.meta("own-workers")}
	w.until("its workers", d, func() bool { return d.Spec.Replicas != nil && *d.Spec.Replicas == 1 })
	w.until("its secrets", &corev1.Secret{ObjectMeta: w.meta("own-talos")}, func() bool { return true })
	said, err := w.asPerson(t, "kubeconfig", "own")
	if err != nil {
		t.Fatalf("%v %s", err, said)
	}
	if config, err := clientcmd.RESTConfigFromKubeConfig([]byte(said)); err != nil || config.Host != "https://api.example.org:443" {
		t.Errorf("its kubeconfig: %v", err)
	}
	if said, err := w.asPerson(t, append(line, "--stand-alone")...); err == nil || !strings.Contains(said, "leave --stand-alone out") {
		t.Errorf("a cluster is made twice: %v %s", err, said)
	}
	if said, err := w.asPerson(t, "delete", "own", "--yes", "--wait"); err != nil || !strings.Contains(said, "cluster/own is gone") {
		t.Errorf("%v %s", err, said)
	}
}

// asPerson runs `ingot cluster` in the tenant's namespace.
func (w *tenant) asPerson(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var said bytes.Buffer
	env := &cli.Env{Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &said, ErrOut: io.Discard}, Now: time.Now, ID: func() string { return "id" }}
	root := cli.New("ingot", env)
	root.SetArgs(append(append([]string{"cluster"}, args...), "-n", w.ns, "--kubeconfig", testapi.Config(t).Kubeconfig))
	err := root.ExecuteContext(t.Context())
	if err != nil {
		fmt.Fprintln(&said, err)
	}
	return said.String(), err
}
