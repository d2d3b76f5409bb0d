package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/upstream"
)

const (
	clusterAPI     = "cluster.x-k8s.io/v1beta2"
	infrastructure = "infrastructure.cluster.x-k8s.io/v1alpha1"
)

// everything are the flags of an `ingot up` with everything but boot services, at ports of its own.
func everything(t *testing.T) []string {
	t.Helper()
	ports := freePorts(t, 3)
	return []string{"--control-plane-only=false", "--cluster-api", "--no-talos-signals", "--metrics-address", "", "--agent-port", ports[0], "--config-port", ports[1], "--plain-config-port", ports[2]}
}

// TestClusterAPI: the core of Cluster API runs in `ingot up`: it reconciles, its webhooks judge and convert, and a kill loses nothing.
func TestClusterAPI(t *testing.T) {
	dir := stateDir(t)
	first := start(t, dir, everything(t)...)
	want(t, first.Stderr(), "cluster-api "+upstream.Version+" ready")
	k := &kube{t: t, Client: servers(t, first)}
	k.cluster("one", "10.0.0.0/8")
	k.provisioned("one")
	k.refuses("bad", "no network")
	k.condition("Deployment", upstream.Namespace, upstream.Deployment, "Available", "True")
	uid := k.get(clusterAPI, "Cluster", "default", "one").GetUID()
	if old := k.get("cluster.x-k8s.io/v1beta1", "Cluster", "default", "one"); field(old, "spec", "infrastructureRef", "apiVersion") != infrastructure {
		t.Errorf("in v1beta1 it refers to %v", old.Object["spec"])
	}
	t.Run("certificates", k.certificates)
	stop(t, first, syscall.SIGKILL)

	second := start(t, dir, everything(t)...)
	k = &kube{t: t, Client: servers(t, second)}
	if got := k.get(clusterAPI, "Cluster", "default", "one"); got.GetUID() != uid || field(got, "status", "initialization", "infrastructureProvisioned") != "true" {
		t.Errorf("after the kill: %v", got.Object)
	}
	k.refuses("bad", "no network")
	k.cluster("two", "10.0.0.0/8")
	k.provisioned("two")
	k.condition("Deployment", upstream.Namespace, upstream.Deployment, "Available", "True")
	k.stopsAndStarts()
	stop(t, second, syscall.SIGTERM)
}

// TestClusterAPINewer: an installation that is newer than this build is left as it is, and everything else runs.
func TestClusterAPINewer(t *testing.T) {
	dir := stateDir(t)
	first := start(t, dir, "--cluster-api")
	k := &kube{t: t, Client: servers(t, first)}
	k.merge("clusterctl.cluster.x-k8s.io/v1alpha3", "Provider", upstream.Namespace, upstream.Label, `{"version":"v1.99.0"}`)
	k.condition("Deployment", upstream.Namespace, upstream.Deployment, "Available", "False")
	k.merge("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "machines.cluster.x-k8s.io", `{"spec":{"names":{"categories":["kept"]}}}`)
	before := k.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "machines.cluster.x-k8s.io").GetGeneration()
	stop(t, first, syscall.SIGTERM)

	second := start(t, dir, "--cluster-api")
	k = &kube{t: t, Client: servers(t, second)}
	want(t, second.Stderr(), "cluster-api does not run: Cluster API v1.99.0 is installed", "Ingot is ready")
	if now := k.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "machines.cluster.x-k8s.io").GetGeneration(); now != before {
		t.Errorf("the CRD's generation is %d, and was %d", now, before)
	}
	k.condition("Deployment", upstream.Namespace, upstream.Deployment, "Available", "False")
	createServer(t, second, "r1-u17") // the control: what is Ingot's works
	stop(t, second, syscall.SIGTERM)

	third := start(t, dir) // switched off
	if strings.Contains(third.Stderr(), "cluster-api") {
		t.Errorf("it runs without --cluster-api: %s", third.Stderr())
	}
	stop(t, third, syscall.SIGTERM)
}

// kube looks at an API server.
type kube struct {
	client.Client
	t *testing.T
}

// cluster makes a Cluster with an IngotCluster, whose pods are in a network.
func (k *kube) cluster(name, pods string) {
	k.t.Helper()
	for _, o := range clusterObjects(name, pods) {
		if err := k.Create(k.t.Context(), o); err != nil {
			k.t.Fatal(err)
		}
	}
}

func clusterObjects(name, pods string) []*unstructured.Unstructured {
	own := object(infrastructure, "IngotCluster", "default", name)
	own.Object["spec"] = map[string]any{"controlPlaneEndpoint": map[string]any{"host": "api.example.org", "port": int64(6443)}}
	c := object(clusterAPI, "Cluster", "default", name)
	c.Object["spec"] = map[string]any{
		"clusterNetwork":    map[string]any{"pods": map[string]any{"cidrBlocks": []any{pods}}},
		"infrastructureRef": map[string]any{"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "IngotCluster", "name": name},
	}
	return []*unstructured.Unstructured{own, c}
}

// refuses checks that a webhook refuses a Cluster.
func (k *kube) refuses(name, pods string) {
	k.t.Helper()
	err := k.Create(k.t.Context(), clusterObjects(name, pods)[1])
	if err == nil || !strings.Contains(err.Error(), "admission webhook") || !strings.Contains(err.Error(), "cidrBlocks") {
		k.t.Errorf("a Cluster whose network is %q: %v", pods, err)
	}
}

// provisioned waits until the core says that a Cluster's infrastructure is there.
func (k *kube) provisioned(name string) {
	k.t.Helper()
	k.until(clusterAPI, "Cluster", "default", name, func(o *unstructured.Unstructured) bool {
		return field(o, "status", "initialization", "infrastructureProvisioned") == "true" && conditionOf(o, "InfrastructureReady") == "True" &&
			field(o, "spec", "controlPlaneEndpoint", "host") == "api.example.org"
	})
}

// condition waits for a condition.
func (k *kube) condition(kind, namespace, name, condition, status string) {
	k.t.Helper()
	k.until("apps/v1", kind, namespace, name, func(o *unstructured.Unstructured) bool { return conditionOf(o, condition) == status })
}

// stopsAndStarts scales the core's Deployment, as clusterctl's upgrade does: nothing serves the webhooks then, and they are served again afterwards.
func (k *kube) stopsAndStarts() {
	k.t.Helper()
	k.merge("apps/v1", "Deployment", upstream.Namespace, upstream.Deployment, `{"spec":{"replicas":0}}`)
	k.until("apps/v1", "Deployment", upstream.Namespace, upstream.Deployment, func(o *unstructured.Unstructured) bool { return field(o, "status", "replicas") == "" })
	if err := k.Create(k.t.Context(), clusterObjects("three", "10.0.0.0/8")[1]); err == nil || !strings.Contains(err.Error(), "nothing serves the Service") {
		k.t.Errorf("with the core stopped: %v", err)
	}
	k.merge("apps/v1", "Deployment", upstream.Namespace, upstream.Deployment, `{"spec":{"replicas":1}}`)
	k.condition("Deployment", upstream.Namespace, upstream.Deployment, "Available", "True")
	k.cluster("three", "10.0.0.0/8")
	k.provisioned("three")
}

// certificates are signed for Services of their own namespace, and for nothing else.
func (k *kube) certificates(t *testing.T) {
	for name, dns := range map[string]string{"own": "hook.default.svc", "other": upstream.Service + "." + upstream.Namespace + ".svc"} {
		o := object("cert-manager.io/v1", "Certificate", "default", name)
		o.Object["spec"] = map[string]any{"secretName": name + "-tls", "dnsNames": []any{dns}}
		if err := k.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(name, status string) {
		k.until("cert-manager.io/v1", "Certificate", "default", name, func(o *unstructured.Unstructured) bool { return conditionOf(o, "Ready") == status })
	}
	ready("own", "True")
	ready("other", "False")
	var s corev1.Secret
	if err := k.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "other-tls"}, &s); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the name of another namespace's Service was signed: %v", err)
	}
	if err := k.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "own-tls"}, &s); err != nil {
		t.Fatal(err)
	}
	verifies(t, &s, "hook.default.svc")
}

// verifies checks a Secret's certificate against its authority as a client of the API server would.
func verifies(t *testing.T, s *corev1.Secret, name string) {
	t.Helper()
	pair, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.Data["ca.crt"]) {
		t.Fatal("no authority in the Secret")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
		t.Error(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "x." + name}); err == nil {
		t.Error("control: it is good for any name")
	}
}

func object(version, kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(version)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func (k *kube) get(version, kind, namespace, name string) *unstructured.Unstructured {
	k.t.Helper()
	o := object(version, kind, namespace, name)
	if err := k.Get(k.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		k.t.Fatal(err)
	}
	return o
}

func (k *kube) merge(version, kind, namespace, name, patch string) {
	k.t.Helper()
	if err := k.Patch(k.t.Context(), object(version, kind, namespace, name), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		k.t.Fatal(err)
	}
}

// until waits until an object is so.
func (k *kube) until(version, kind, namespace, name string, so func(*unstructured.Unstructured) bool) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		o := object(version, kind, namespace, name)
		err := k.Get(ctx, client.ObjectKeyFromObject(o), o)
		if err == nil && so(o) {
			return
		}
		select {
		case <-ctx.Done():
			k.t.Fatalf("%s %s: %v\n%v", kind, name, err, o.Object)
		case <-tick.C:
		}
	}
}

// field is a value as text; empty when it is not there.
func field(o *unstructured.Unstructured, path ...string) string {
	v, ok, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	if !ok {
		return ""
	}
	return fmt.Sprint(v)
}

func conditionOf(o *unstructured.Unstructured, condition string) string {
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range all {
		if m, ok := c.(map[string]any); ok && m["type"] == condition {
			return fmt.Sprint(m["status"])
		}
	}
	return ""
}
