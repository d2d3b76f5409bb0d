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
	image   = "registry.example/ingot:v0.1.0"
	url     = "https://192.0.2.1:7443"
)

// repository is a folder with the releases of Cluster API's core and of Ingot, and a configuration of clusterctl that names them.
func repository(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	core, err := clusterapi.Release(dir)
	ok(t, err)
	files, err := clusterctl.Release(image)
	ok(t, err)
	own := filepath.Join(dir, clusterctl.Label, release)
	ok(t, os.MkdirAll(own, 0o755))
	for name, text := range files {
		ok(t, os.WriteFile(filepath.Join(own, name), text, 0o600))
	}
	config = filepath.Join(dir, "clusterctl.yaml")
	ok(t, os.WriteFile(config, fmt.Appendf(nil, "providers:\n- {name: cluster-api, type: CoreProvider, url: 'file://%s'}\n- {name: ingot, type: InfrastructureProvider, url: 'file://%s'}\n",
		core, filepath.Join(own, "infrastructure-components.yaml")), 0o600))
	return config
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
	for _, want := range []struct {
		version, kind, name, value string
		path                       []string
	}{
		{"clusterctl.cluster.x-k8s.io/v1alpha3", "Provider", "infrastructure-ingot", release, []string{"version"}},
		{"v1", "ConfigMap", "metal-controller", url, []string{"data", "agent-url"}},
		{"apps/v1", "Deployment", "metal-controller", clusterctl.Label, []string{"metadata", "labels", "cluster.x-k8s.io/provider"}},
	} {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion(want.version)
		o.SetKind(want.kind)
		ok(t, c.Get(t.Context(), client.ObjectKey{Namespace: "ingot-system", Name: want.name}, o))
		if got, _, _ := unstructured.NestedString(o.Object, want.path...); got != want.value {
			t.Errorf("%s %s has the %v %q, not %q", want.kind, want.name, want.path, got, want.value)
		}
		if text := fmt.Sprint(o.Object); want.kind == "Deployment" && !strings.Contains(text, image) {
			t.Errorf("it does not run %s: %s", image, text)
		}
	}
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
