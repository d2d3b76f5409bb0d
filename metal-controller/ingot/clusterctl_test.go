package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/metal-controller/config/clusterctl"
	"ingot.dev/ingot/sfyra-tests/clusterapi"
)

// TestClusterctlInit: the real clusterctl, with a release of Ingot of its own, finds Cluster API's core installed, needs no cert-manager and no default providers, and waits
// until Ingot's provider is available, which it is, because it runs. A provider that Ingot does not contain is said to be run by nothing.
func TestClusterctlInit(t *testing.T) {
	bin, err := clusterapi.Clusterctl()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, stateDir(t), everything(t)...)
	k := &kube{t: t, Client: servers(t, p)}
	config := providersFor(t)
	initialise := func(more ...string) string {
		return callClusterctl(t, bin, append([]string{"init", "--config", config, "--kubeconfig", p.Kubeconfig, "--wait-providers", "--wait-provider-timeout", "60", "--infrastructure"}, more...)...)
	}
	out := initialise("ingot:v0.1.0")
	want(t, out, "Skipping installing cert-manager as it is already installed", `Installing provider="infrastructure-ingot" version="v0.1.0"`, "Waiting for providers to be available")
	if strings.Contains(out, "kubeadm") || strings.Contains(out, `provider="cluster-api"`) {
		t.Errorf("it installs more than it was asked for:\n%s", out)
	}
	k.condition("Deployment", "ingot-system", "metal-controller", "Available", "True")
	k.cluster("one", "10.0.0.0/8") // what clusterctl wrote over works as before
	k.provisioned("one")

	other := k.get("apps/v1", "Deployment", "ingot-system", "metal-controller")
	foreign := object("apps/v1", "Deployment", "default", "somebody-elses")
	foreign.SetLabels(map[string]string{"cluster.x-k8s.io/provider": "infrastructure-other"})
	foreign.Object["spec"] = other.Object["spec"]
	if err := k.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	k.condition("Deployment", "default", "somebody-elses", "Available", "False")
	k.event("somebody-elses", "NothingRunsIt")
	k.merge("clusterctl.cluster.x-k8s.io/v1alpha3", "Provider", "ingot-system", clusterctl.Label, `{"version":"v0.2.0"}`)
	k.condition("Deployment", "ingot-system", "metal-controller", "Available", "False") // another release than what runs
}

// event waits for an event about an object.
func (k *kube) event(about, reason string) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var all corev1.EventList
		if err := k.List(ctx, &all, client.InNamespace("default")); err != nil {
			k.t.Fatal(err)
		}
		for _, e := range all.Items {
			if e.InvolvedObject.Name == about && e.Reason == reason {
				return
			}
		}
		select {
		case <-ctx.Done():
			k.t.Fatalf("no event %s about %s", reason, about)
		case <-tick.C:
		}
	}
}

// providersFor is a configuration of clusterctl with a folder of releases: the metadata of Cluster API's core, and Ingot.
func providersFor(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	core, err := clusterapi.Release(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := clusterctl.Release("registry.example/ingot:v0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, clusterctl.Label, "v0.1.0")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(own, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "clusterctl.yaml")
	text := fmt.Appendf(nil, "providers:\n- {name: cluster-api, type: CoreProvider, url: 'file://%s'}\n- {name: ingot, type: InfrastructureProvider, url: 'file://%s'}\n",
		core, filepath.Join(own, "infrastructure-components.yaml"))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func callClusterctl(t *testing.T, bin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "CLUSTERCTL_DISABLE_VERSIONCHECK=true", "INGOT_AGENT_URL=https://192.0.2.1:7443", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
