package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/talos"
)

// clusterRun runs `ingot cluster` with what follows, in the namespace team.
func clusterRun(t *testing.T, line string) result {
	t.Helper()
	return run(t, append([]string{"cluster"}, strings.Fields(line+" -n team")...)...)
}

// sweep removes what a cluster is made of when the test ends.
func sweep(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		opts := []client.DeleteAllOfOption{client.InNamespace("team"), client.MatchingLabels{metal.ClusterLabel: name}}
		_ = admin(t).DeleteAllOf(context.Background(), &metal.ServerClaim{}, opts...)
		_ = admin(t).DeleteAllOf(context.Background(), &corev1.Secret{}, opts...)
	})
}

func secretOf(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{}
	err := admin(t).Get(t.Context(), client.ObjectKey{Namespace: "team", Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// founder is the UID that the cluster's Secret names.
func founder(t *testing.T, name string) string {
	t.Helper()
	var p clusterPlan
	if err := json.Unmarshal(secretOf(t, name+"-talos").Data[planKey], &p); err != nil {
		t.Fatal(err)
	}
	return string(p.Founder)
}

// TestClusterCreate: the claims, their configs and the credentials are made once; the same command goes on and adds, and founds nothing again.
func TestClusterCreate(t *testing.T) {
	team(t)
	sweep(t, "k1")
	patch := onDisk(t, "p.yaml", "machine:\n  sysctls: {a.b: c}\n")
	line := "create k1 --class small --workers 1 --endpoint https://192.0.2.10:6443 --patch-worker " + patch
	clusterRun(t, line+" --dry-run").want(t, CodeOK, "would take 1 control plane of class small and 1 worker of class small", "dry run")
	if secretOf(t, "k1-talos") != nil || fetchClaim(t, "k1-cp-1") != nil {
		t.Fatal("a dry run made something")
	}
	r := clusterRun(t, line)
	r.want(t, CodeOK, "secret/k1-talos holds the secrets", "claim/k1-cp-1 in team takes", "claim/k1-worker-1 in team takes", "ingot cluster list -n team")
	cp, worker := fetchClaim(t, "k1-cp-1"), fetchClaim(t, "k1-worker-1")
	if cp == nil || worker == nil || !cp.Spec.BootstrapEtcd || worker.Spec.BootstrapEtcd || len(cp.Spec.Patches) != 0 || len(worker.Spec.Patches) != 1 || cp.Spec.InstallDisk == nil {
		t.Fatalf("claims %+v, %+v", cp, worker)
	}
	if got := founder(t, "k1"); got != string(cp.UID) {
		t.Errorf("the founder is %s, not %s", got, cp.UID)
	}
	config := secretOf(t, "k1-cp-1-config").Data[configKey]
	for what, secret := range map[string][]byte{"bundle": secretOf(t, "k1-talos").Data[bundleKey], "config": config} {
		if len(secret) == 0 || strings.Contains(r.out+r.err, string(secret[:40])) {
			t.Errorf("the %s is empty, or shown", what)
		}
	}
	if bytes.Contains(secretOf(t, "k1-worker-1-config").Data[configKey], []byte("type: controlplane")) || !bytes.Contains(config, []byte("https://192.0.2.10:6443")) {
		t.Error("the configs are not those of their roles")
	}
	for _, name := range []string{"k1-talos", "k1-talosconfig"} {
		if o := secretOf(t, name).OwnerReferences; len(o) != 2 || o[0].UID != cp.UID {
			t.Errorf("%s goes with %+v", name, o)
		}
	}
	if _, err := talos.ParseTalosconfig(secretOf(t, "k1-talosconfig").Data[talos.ConfigKey]); err != nil {
		t.Errorf("what Ingot asks with: %v", err)
	}
	goesOn(t, line, config)
}

// goesOn: the same command again changes nothing, and another number of workers adds one.
func goesOn(t *testing.T, line string, config []byte) {
	t.Helper()
	was := founder(t, "k1")
	clusterRun(t, line).want(t, CodeOK, "going on with it")
	clusterRun(t, strings.Replace(line, "--workers 1", "--workers 2", 1)).want(t, CodeOK, "claim/k1-worker-2 in team takes")
	if founder(t, "k1") != was || !bytes.Equal(secretOf(t, "k1-cp-1-config").Data[configKey], config) || len(secretOf(t, "k1-talos").OwnerReferences) != 3 {
		t.Error("the founder, its config or the owners are not what they should be")
	}
	clusterRun(t, strings.Replace(line, ".10", ".11", 1)).want(t, CodeRefused, "say --endpoint https://192.0.2.10:6443")
	clusterRun(t, line+" --kubernetes-version 1.35.0").want(t, CodeRefused, "--kubernetes-version")
	clusterRun(t, "list").want(t, CodeOK, "k1", "0/1", "0/2")
}

// TestClusterFoundedOnce: when the claim that began etcd is gone, a new first claim begins nothing, and a cluster without any control plane is refused.
func TestClusterFoundedOnce(t *testing.T) {
	team(t)
	sweep(t, "k2")
	line := "create k2 --class small --control-planes 3 --endpoint https://192.0.2.10:6443"
	clusterRun(t, line).want(t, CodeOK)
	was := founder(t, "k2")
	for i, name := range []string{"k2-cp-1", "k2-cp-2", "k2-cp-3"} {
		if c := fetchClaim(t, name); c.Spec.BootstrapEtcd != (i == 0) {
			t.Errorf("%s begins etcd: %t", name, c.Spec.BootstrapEtcd)
		}
	}
	run(t, "release", "k2-cp-1", "-n", "team", "--yes").want(t, CodeOK)
	clusterRun(t, line).want(t, CodeOK, "claim/k2-cp-1 in team takes")
	if c := fetchClaim(t, "k2-cp-1"); c == nil || c.Spec.BootstrapEtcd || founder(t, "k2") != was {
		t.Errorf("the claim that took the founder's place is %+v", c)
	}
	kept := secretOf(t, "k2-talos")
	kept.OwnerReferences = nil // as before the garbage collector came
	if err := admin(t).Update(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"k2-cp-1", "k2-cp-2", "k2-cp-3"} {
		run(t, "release", name, "-n", "team", "--yes").want(t, CodeOK)
	}
	clusterRun(t, line).want(t, CodeRefused, "are gone", "ingot cluster delete k2")
}

// TestClusterInterrupted: a creation that was cut off after the first claim was made, and before it was noted, goes on with that claim.
func TestClusterInterrupted(t *testing.T) {
	team(t)
	sweep(t, "k3")
	line := "create k3 --class small --endpoint https://192.0.2.10:6443"
	clusterRun(t, line).want(t, CodeOK)
	s := secretOf(t, "k3-talos")
	var p clusterPlan
	if err := json.Unmarshal(s.Data[planKey], &p); err != nil {
		t.Fatal(err)
	}
	cp := fetchClaim(t, "k3-cp-1")
	p.Founder = ""
	s.Data[planKey], _ = json.Marshal(p)
	if err := admin(t).Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := admin(t).Delete(t.Context(), secretOf(t, "k3-cp-1-config")); err != nil {
		t.Fatal(err)
	}
	clusterRun(t, line).want(t, CodeOK, "going on")
	if founder(t, "k3") != string(cp.UID) || secretOf(t, "k3-cp-1-config") == nil {
		t.Errorf("the founder is %q, not %s; config %v", founder(t, "k3"), cp.UID, secretOf(t, "k3-cp-1-config") != nil)
	}
}

// TestClusterEndpoint: without one, the address of the first control plane's server becomes it, once that is known.
func TestClusterEndpoint(t *testing.T) {
	team(t)
	sweep(t, "k4")
	clusterRun(t, "kubeconfig k4").want(t, CodeRefused, "there is no cluster k4")
	clusterRun(t, "create k4 --class small --timeout 1s").want(t, CodeTimeout, "the server of claim/k4-cp-1 in team")
	clusterRun(t, "kubeconfig k4").want(t, CodeRefused, "no endpoint yet")
	if secretOf(t, "k4-cp-1-config") != nil {
		t.Fatal("there is a config before there is an endpoint")
	}
	c := fetchClaim(t, "k4-cp-1")
	c.Spec.Binding = &metal.Binding{Server: "s1", BindingID: "b1"}
	if err := controller(t).Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Status.Addresses = []string{"fe80::1", "2001:db8::1", "198.51.100.7"}
	c.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: metav1.ConditionTrue, Reason: reasons.Running, LastTransitionTime: metav1.NewTime(noon), ObservedGeneration: c.Generation}}
	if err := controller(t).Status().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	clusterRun(t, "create k4 --class small --wait").want(t, CodeOK, "has the endpoint https://198.51.100.7:6443, the address of s1", "claim/k4-cp-1 is Running on s1", "cluster/k4 runs: 1 control plane")
	r := clusterRun(t, "kubeconfig k4 --lifetime 8h")
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(r.out))
	if err != nil || config.Host != "https://198.51.100.7:6443" {
		t.Errorf("the kubeconfig: %v, %+v", err, config)
	}
	r = clusterRun(t, "talosconfig k4")
	if _, err := talos.ParseTalosconfig([]byte(r.out)); err != nil || !strings.Contains(r.out, "198.51.100.7") {
		t.Errorf("the talosconfig: %v", err)
	}
	clusterRun(t, "kubeconfig k4 --lifetime 0s").want(t, CodeUsage, "--lifetime")
}

// TestClusterDelete: all claims are deleted, workers first, after a word of a person; a dry run deletes none.
func TestClusterDelete(t *testing.T) {
	team(t)
	sweep(t, "k5")
	clusterRun(t, "create k5 --class small --workers 1 --endpoint https://192.0.2.10:6443").want(t, CodeOK)
	clusterRun(t, "delete k5 --dry-run").want(t, CodeOK, "claim/k5-cp-1", "no server yet", "dry run")
	clusterRun(t, "delete k5").want(t, CodeRefused, "--yes")
	if fetchClaim(t, "k5-cp-1") == nil || fetchClaim(t, "k5-worker-1") == nil {
		t.Fatal("a claim was deleted without a person's word")
	}
	r := clusterRun(t, "delete k5 --yes --wait --timeout 1m")
	r.want(t, CodeOK, "claim/k5-worker-1 is deleted\nclaim/k5-cp-1 is deleted", "cluster/k5 is gone")
	if fetchClaim(t, "k5-cp-1") != nil || fetchClaim(t, "k5-worker-1") != nil {
		t.Error("claims are left")
	}
	gone := time.Now().Add(30 * time.Second)
	for secretOf(t, "k5-talos") != nil || secretOf(t, "k5-talosconfig") != nil {
		if time.Now().After(gone) {
			t.Fatal("the cluster's Secrets outlived its last claim")
		}
		idle(t.Context(), 200*time.Millisecond)
	}
	clusterRun(t, "delete k5 --yes").want(t, CodeRefused, "there is no cluster k5")
}

// TestClusterRefuses: mistakes are said with the next step, and nothing is made.
func TestClusterRefuses(t *testing.T) {
	team(t)
	sweep(t, "k6")
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "k7-talos", Namespace: "team"}, Data: map[string][]byte{bundleKey: []byte(marker)}})
	create(t, class("nobody", nil, "os-a"))
	for line, want := range map[string]string{
		"create K_6 --class small":                             "cannot be the name",
		"create " + strings.Repeat("k", 41) + " --class small": "at most 40",
		"create k6": "`ingot get classes`",
		"create k6 --class small --control-planes 2":                            "1, 3, 5 or 7",
		"create k6 --class small --control-planes 3":                            "--endpoint",
		"create k6 --class small --workers -1":                                  "--workers",
		"create k6 --class small --endpoint http://192.0.2.1":                   "https://HOST:6443",
		"create k6 --class small --talos-version newest":                        "v1.13.0",
		"create k6 --class small --kubernetes-version 2":                        "1.36",
		"create k6 --class small --patch " + onDisk(t, "bad.yaml", "- "+marker): "a patch is",
		"create k6 --class none --endpoint https://192.0.2.1:6443":              "`ingot get classes`",
		"create k6 --class nobody --endpoint https://192.0.2.1:6443":            "lets no namespace",
		"create k6 --class small --worker-class none --workers 1":               "`ingot get classes`",
		"create k6 --class small --environment none":                            "`ingot get environments`",
		"create k7 --class small --endpoint https://192.0.2.1:6443":             "choose another name",
		"delete k7 --yes": "there is no cluster k7",
		"kubeconfig k7":   "choose another name",
	} {
		r := clusterRun(t, line)
		if r.code == CodeOK || !strings.Contains(r.err, want) || strings.Contains(r.out+r.err, marker) {
			t.Errorf("%s: exit code %d\n%s%s", line, r.code, r.out, r.err)
		}
	}
	if secretOf(t, "k6-talos") != nil || fetchClaim(t, "k6-cp-1") != nil || fetchClaim(t, "k7-cp-1") != nil {
		t.Error("something was made")
	}
	clusterRun(t, "create k6 --class small --endpoint https://192.0.2.1:6443").want(t, CodeOK) // control
	if fetchClaim(t, "k6-cp-1") == nil {
		t.Error("the control was not made")
	}
}
