package clusterapi_test

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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"ingot.dev/ingot/metal-controller/config/clusterctl"
	"ingot.dev/ingot/sfyra-tests/clusterapi"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

const (
	release = "v0.1.0"
	next    = "v0.1.1"
	image   = "registry.example/ingot:"
	url     = "https://192.0.2.1:7443"
)

// repository is a folder with the releases of Cluster API's core and of Ingot, and a configuration of clusterctl that names them.
func repository(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	core, err := clusterapi.Release(dir)
	ok(t, err)
	own := released(t, dir, release)
	config = filepath.Join(dir, "clusterctl.yaml")
	ok(t, os.WriteFile(config, fmt.Appendf(nil, "providers:\n- {name: cluster-api, type: CoreProvider, url: 'file://%s'}\n- {name: ingot, type: InfrastructureProvider, url: 'file://%s'}\n",
		core, filepath.Join(own, "infrastructure-components.yaml")), 0o600))
	return config
}

// released adds a release of Ingot to a repository.
func released(t *testing.T, repository, version string) (dir string) {
	t.Helper()
	files, err := clusterctl.Release(image + version)
	ok(t, err)
	dir = filepath.Join(repository, clusterctl.Label, version)
	ok(t, os.MkdirAll(dir, 0o755))
	for name, text := range files {
		ok(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	return dir
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stub is a CRD of cert-manager without a controller: clusterctl only looks whether it can make one.
func stub(kind, plural string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": plural + ".cert-manager.io"},
		"spec": map[string]any{
			"group": "cert-manager.io", "scope": "Namespaced", "names": map[string]any{"kind": kind, "plural": plural},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			}}},
		},
	}}
}

// TestClusterctlInit: the real clusterctl installs Ingot from its release beside the core of Cluster API, and asks for the one thing that it needs to know.
func TestClusterctlInit(t *testing.T) {
	bin, err := clusterapi.Clusterctl()
	ok(t, err)
	c, err := client.New(testapi.Config(t).AdminConfig, client.Options{})
	ok(t, err)
	for kind, plural := range map[string]string{"Certificate": "certificates", "Issuer": "issuers"} {
		ok(t, c.Create(t.Context(), stub(kind, plural)))
	}
	config := repository(t)
	initialise := func(env ...string) (string, error) {
		return call(t, bin, env, "init", "--config", config, "--kubeconfig", testapi.Config(t).Kubeconfig, "--core", "cluster-api:"+clusterapi.Version,
			"--infrastructure", "ingot:"+release, "--bootstrap", "-", "--control-plane", "-")
	}
	if out, err := initialise(); err == nil || !strings.Contains(out, "INGOT_AGENT_URL") {
		t.Errorf("without the address it says %v %s", err, out)
	}
	if out, err := initialise("INGOT_AGENT_URL=" + url); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	installed(t, c, release)
	kept := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "metal.ingot.dev/v1alpha1", "kind": "Server", "metadata": map[string]any{"name": "kept"}, "spec": map[string]any{"cordoned": true}}}
	ok(t, c.Create(t.Context(), kept))
	t.Run("upgrade", func(t *testing.T) { upgraded(t, bin, config, c, kept) })
	t.Run("delete", func(t *testing.T) { deleted(t, bin, config, c, kept) })
}

// installed checks what clusterctl knows of Ingot, and runs.
func installed(t *testing.T, c client.Client, version string) {
	t.Helper()
	for _, want := range []struct {
		version, kind, name, value string
		path                       []string
	}{
		{"clusterctl.cluster.x-k8s.io/v1alpha3", "Provider", "infrastructure-ingot", version, []string{"version"}},
		{"v1", "ConfigMap", "metal-controller", url, []string{"data", "agent-url"}},
		{"apps/v1", "Deployment", "metal-controller", clusterctl.Label, []string{"metadata", "labels", "cluster.x-k8s.io/provider"}},
	} {
		o, err := get(t, c, want.version, want.kind, "ingot-system", want.name)
		ok(t, err)
		if got, _, _ := unstructured.NestedString(o.Object, want.path...); got != want.value {
			t.Errorf("%s %s has the %v %q, not %q", want.kind, want.name, want.path, got, want.value)
		}
		if text := fmt.Sprint(o.Object); want.kind == "Deployment" && !strings.Contains(text, image+version) {
			t.Errorf("it does not run %s: %s", image+version, text)
		}
	}
}

func get(t *testing.T, c client.Client, version, kind, namespace, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(version)
	o.SetKind(kind)
	return o, c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
}

// same checks that an object is the very one that was made, as it was.
func same(t *testing.T, c client.Client, was *unstructured.Unstructured) {
	t.Helper()
	is, err := get(t, c, was.GetAPIVersion(), was.GetKind(), was.GetNamespace(), was.GetName())
	ok(t, err)
	if is.GetUID() != was.GetUID() || is.GetGeneration() != was.GetGeneration() || is.GetDeletionTimestamp() != nil {
		t.Errorf("it was %v, and is %v", was, is)
	}
}

// upgraded puts a second release into the repository: clusterctl offers it, does not begin without what it has to know, and puts it in place of the first. What Ingot keeps stays.
func upgraded(t *testing.T, bin, config string, c client.Client, kept *unstructured.Unstructured) {
	flags := []string{"--config", config, "--kubeconfig", testapi.Config(t).Kubeconfig}
	if out, err := call(t, bin, nil, append([]string{"upgrade", "plan"}, flags...)...); err != nil || strings.Contains(out, next) {
		t.Errorf("control: with one release it plans %v %s", err, out)
	}
	released(t, filepath.Dir(config), next)
	if out, err := call(t, bin, nil, append([]string{"upgrade", "plan"}, flags...)...); err != nil || !strings.Contains(out, next) {
		t.Errorf("with a second release it plans %v %s", err, out)
	}
	apply := append([]string{"upgrade", "apply", "--infrastructure", "ingot-system/ingot:" + next}, flags...)
	if out, err := call(t, bin, nil, apply...); err == nil || !strings.Contains(out, "INGOT_AGENT_URL") {
		t.Errorf("without the address it says %v %s", err, out)
	}
	installed(t, c, release)
	if out, err := call(t, bin, []string{"INGOT_AGENT_URL=" + url}, apply...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	installed(t, c, next)
	same(t, c, kept)
	_, err := get(t, c, "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "", "record.metal.ingot.dev")
	ok(t, err)
}

// deleted takes the program away, and nothing that it kept: neither the kinds nor the namespace with its Secrets.
func deleted(t *testing.T, bin, config string, c client.Client, kept *unstructured.Unstructured) {
	secret := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"namespace": "ingot-system", "name": "bmc"}}}
	ok(t, c.Create(t.Context(), secret))
	out, err := call(t, bin, nil, "delete", "--infrastructure", "ingot", "--config", config, "--kubeconfig", testapi.Config(t).Kubeconfig)
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for kind, version := range map[string]string{"Provider": "clusterctl.cluster.x-k8s.io/v1alpha3", "Deployment": "apps/v1"} {
		name := map[string]string{"Provider": clusterctl.Label, "Deployment": "metal-controller"}[kind]
		if o, err := get(t, c, version, kind, "ingot-system", name); err == nil && o.GetDeletionTimestamp() == nil {
			t.Errorf("%s %s is there still", kind, name)
		}
	}
	same(t, c, kept)
	same(t, c, secret)
}

// call runs clusterctl.
func call(t *testing.T, bin string, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), append(env, "CLUSTERCTL_DISABLE_VERSIONCHECK=true", "HOME="+t.TempDir())...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// generated checks a cluster that clusterctl makes from our template on an API server with the real core: each object is taken, but for those of the Talos
// providers, which are not there.
func generated(t *testing.T, kubeconfig string, c client.Client) {
	bin, err := clusterapi.Clusterctl()
	ok(t, err)
	args := []string{
		"generate", "cluster", "lab", "--config", repository(t), "--kubeconfig", kubeconfig, "--infrastructure", "ingot:" + release, "--target-namespace", "default",
		"--kubernetes-version", "v1.37.1", "--control-plane-machine-count", "3", "--worker-machine-count", "2",
	}
	if out, err := call(t, bin, nil, args...); err == nil || !strings.Contains(out, "CONTROL_PLANE_HOST") || !strings.Contains(out, "WORKER_CLASS") {
		t.Errorf("without its variables: %v %s", err, out)
	}
	variables := []string{"CONTROL_PLANE_HOST=api.example.org", "CONTROL_PLANE_CLASS=small", "WORKER_CLASS=big", "TALOS_VERSION=v1.13"}
	text, err := call(t, bin, variables, args...)
	if err != nil {
		t.Fatalf("%v %s", err, text)
	}
	taken, unknown := dryRun(t, c, text)
	if unknown != nil || !slices.Equal(taken, []string{"Cluster", "IngotCluster", "IngotMachineTemplate", "IngotMachineTemplate", "MachineDeployment", "TalosConfigTemplate", "TalosControlPlane"}) {
		t.Errorf("taken %v, unknown %v", taken, unknown)
	}
	text, err = call(t, bin, variables, append(args, "--flavor", "topology")...)
	if err != nil {
		t.Fatalf("%v %s", err, text)
	}
	taken, unknown = dryRun(t, c, text)
	kinds := []string{"Cluster", "ClusterClass", "IngotClusterTemplate", "IngotMachineTemplate", "IngotMachineTemplate", "IngotRemediationTemplate", "TalosConfigTemplate", "TalosControlPlaneTemplate"}
	if unknown != nil || !slices.Equal(taken, kinds) {
		t.Errorf("of the flavor topology: taken %v, unknown %v", taken, unknown)
	}
}

// dryRun asks the API server to take each document, strictly, and says which kinds it took, and which it does not know.
func dryRun(t *testing.T, c client.Client, text string) (taken, unknown []string) {
	t.Helper()
	for _, document := range strings.Split(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		ok(t, yaml.Unmarshal([]byte(document), &o.Object))
		switch err := client.WithFieldValidation(c, metav1.FieldValidationStrict).Create(t.Context(), o, client.DryRunAll); {
		case meta.IsNoMatchError(err):
			unknown = append(unknown, o.GetKind())
		case err != nil:
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		default:
			taken = append(taken, o.GetKind())
		}
	}
	slices.Sort(unknown)
	slices.Sort(taken)
	return taken, unknown
}
