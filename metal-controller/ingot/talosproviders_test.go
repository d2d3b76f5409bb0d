//go:build e2e

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	talosControlPlane = "controlplane.cluster.x-k8s.io/v1alpha3"
	talosBootstrap    = "bootstrap.cluster.x-k8s.io/v1alpha3"
)

// TestTalosProviders: `ingot up` runs the Talos providers, and one command makes a cluster of the objects of Cluster API, down to the claim for a server. There are no
// servers here; what becomes of claims is tested elsewhere. The child ends with its parent, however that ends.
func TestTalosProviders(t *testing.T) {
	if _, err := os.Stat(filepath.Join(filepath.Dir(binary(t)), "talos-providers")); err != nil {
		t.Fatalf("build it with `make build`: %v", err)
	}
	dir := stateDir(t)
	p := start(t, dir, everything(t)...)
	want(t, p.Stderr(), "talos-providers v0.6.12 ready")
	k := &kube{t: t, Client: servers(t, p)}
	k.condition("Deployment", "cabpt-system", "cabpt-controller-manager", "Available", "True")
	k.condition("Deployment", "cacppt-system", "cacppt-controller-manager", "Available", "True")
	k.refusesTalos()
	k.class()
	command := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), binary(t), append([]string{"cluster", "--kubeconfig", p.Kubeconfig, "-n", "default"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ingot cluster %v: %v %s", args, err, out)
		}
		return string(out)
	}
	want(t, command("create", "lab", "--class", "small", "--workers", "1", "--endpoint", "https://api.example.org:6443"), "taloscontrolplane/lab is made", "machinedeployment/lab-workers is made")
	if old := k.get("bootstrap.cluster.x-k8s.io/v1alpha2", "TalosConfigTemplate", "default", "lab-workers"); field(old, "spec", "template", "spec", "generateType") != "join" {
		t.Errorf("in its older version the template is %v", old.Object["spec"])
	}
	k.machines(2)
	for name, key := range map[string]string{"lab-talos": "bundle", "lab-ca": "tls.key", "lab-kubeconfig": "value"} {
		k.secret(name, key)
	}
	if config, err := clientcmd.RESTConfigFromKubeConfig([]byte(command("kubeconfig", "lab"))); err != nil || config.Host != "https://api.example.org:6443" {
		t.Errorf("its kubeconfig: %v", err)
	}
	want(t, command("list"), "lab", "0/1")
	command("delete", "lab", "--yes", "--wait")
	child := childOf(t, p.PID())
	stop(t, p, syscall.SIGKILL)
	gone(t, child)
	again := start(t, dir, everything(t)...)
	child = childOf(t, again.PID())
	stop(t, again, syscall.SIGTERM)
	gone(t, child)
}

// refusesTalos: the control is that the same object is taken without its fault.
func (k *kube) refusesTalos() {
	k.t.Helper()
	for typ, taken := range map[string]bool{"RollingUpdate": true, "Magic": false} {
		o := object(talosControlPlane, "TalosControlPlane", "default", "probe")
		o.Object["spec"] = map[string]any{
			"version": "v1.36.0", "rolloutStrategy": map[string]any{"type": typ}, "controlPlaneConfig": map[string]any{"controlplane": map[string]any{"generateType": "controlplane"}},
			"infrastructureTemplate": map[string]any{"apiVersion": infrastructure, "kind": "IngotMachineTemplate", "name": "none"},
		}
		if err := k.Create(k.t.Context(), o, client.DryRunAll); (err == nil) != taken {
			k.t.Errorf("a rollout strategy %s: %v", typ, err)
		}
	}
}

// class makes one that boots something.
func (k *kube) class() {
	k.t.Helper()
	asset := map[string]any{"url": "http://192.0.2.1/a", "sha256": strings.Repeat("0", 64)}
	e := object("metal.ingot.dev/v1alpha1", "Environment", "", "os")
	e.Object["spec"] = map[string]any{"boot": []any{map[string]any{"arch": "amd64", "kernel": asset, "initramfs": asset}}}
	c := object("metal.ingot.dev/v1alpha1", "ServerClass", "", "small")
	c.Object["spec"] = map[string]any{"allowedNamespaces": map[string]any{"all": true}, "environmentRef": map[string]any{"name": "os"}}
	for _, o := range []client.Object{e, c} {
		if err := k.Create(k.t.Context(), o); err != nil {
			k.t.Fatal(err)
		}
	}
}

// machines waits until so many machines have their config and a claim.
func (k *kube) machines(n int) {
	k.t.Helper()
	k.until(clusterAPI, "Cluster", "default", "lab", func(*unstructured.Unstructured) bool {
		return k.count(clusterAPI, "MachineList", func(o *unstructured.Unstructured) bool {
			name := field(o, "spec", "bootstrap", "dataSecretName")
			var s corev1.Secret
			return name != "" && k.Get(k.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &s) == nil && strings.Contains(string(s.Data["value"]), "https://api.example.org:6443")
		}) == n && k.count("metal.ingot.dev/v1alpha1", "ServerClaimList", func(o *unstructured.Unstructured) bool {
			return o.GetLabels()["cluster.x-k8s.io/cluster-name"] == "lab" && field(o, "spec", "bootstrapEtcd") != "true" && field(o, "spec", "configSecret") != ""
		}) == n && k.count(talosBootstrap, "TalosConfigList", func(o *unstructured.Unstructured) bool { return field(o, "status", "ready") == "true" }) == n
	})
}

// count is how many objects are so.
func (k *kube) count(version, list string, so func(*unstructured.Unstructured) bool) (n int) {
	k.t.Helper()
	all := &unstructured.UnstructuredList{}
	all.SetAPIVersion(version)
	all.SetKind(list)
	if err := k.List(k.t.Context(), all, client.InNamespace("default")); err != nil {
		k.t.Fatal(err)
	}
	for i := range all.Items {
		if so(&all.Items[i]) {
			n++
		}
	}
	return n
}

// secret waits until a Secret has a key.
func (k *kube) secret(name, key string) {
	k.t.Helper()
	k.until("v1", "Secret", "default", name, func(o *unstructured.Unstructured) bool { return field(o, "data", key) != "" })
}

// childOf is the process of the Talos providers that another one started.
func childOf(t *testing.T, parent int) (pid int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		before, after, _ := strings.Cut(string(text), ") ") // proc_pid_stat(5): pid (comm) state ppid
		if rest := strings.Fields(after); strings.HasSuffix(before, "(talos-providers") && len(rest) > 1 && rest[1] == strconv.Itoa(parent) {
			pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	if pid == 0 {
		t.Fatal("the program has no child for the Talos providers")
	}
	return pid
}

// gone waits until a process is no more.
func gone(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-ctx.Done():
			t.Errorf("process %d is still there", pid)
			return
		case <-tick.C:
		}
	}
}
