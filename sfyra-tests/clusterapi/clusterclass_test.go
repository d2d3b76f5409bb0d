package clusterapi_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	"ingot.dev/ingot/crds/manifests"
	"ingot.dev/ingot/sfyra-tests/clusterapi"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// class is a ClusterClass over our templates. Its control plane and bootstrap kinds are Cluster API's own; nobody runs their provider.
const class = `
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: IngotClusterTemplate
metadata: {name: c, namespace: default}
spec: {template: {metadata: {annotations: {made: by-template}}, spec: {failureDomainKey: rack, controlPlaneEndpoint: {host: api.example.org, port: 6443}}}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: IngotMachineTemplate
metadata: {name: small, namespace: default}
spec: {template: {spec: {className: small}}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: IngotMachineTemplate
metadata: {name: big, namespace: default}
spec: {template: {spec: {className: big}}}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1beta2
kind: KubeadmConfigTemplate
metadata: {name: c, namespace: default}
spec: {template: {spec: {format: cloud-config}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: KubeadmControlPlaneTemplate
metadata: {name: c, namespace: default}
spec: {template: {spec: {kubeadmConfigSpec: {format: cloud-config}}}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: c, namespace: default}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1, kind: IngotClusterTemplate, name: c}}
  controlPlane:
    templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: KubeadmControlPlaneTemplate, name: c}
    machineInfrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1, kind: IngotMachineTemplate, name: small}}
  workers:
    machineDeployments:
    - class: worker
      bootstrap: {templateRef: {apiVersion: bootstrap.cluster.x-k8s.io/v1beta2, kind: KubeadmConfigTemplate, name: c}}
      infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1, kind: IngotMachineTemplate, name: small}}
  variables:
  - {name: disk, required: true, schema: {openAPIV3Schema: {type: string}}}
  patches:
  - name: disk
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1, kind: IngotMachineTemplate, matchResources: {machineDeploymentClass: {names: [worker]}}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/installDisk, valueFrom: {template: '{serial: {{ .disk }}}'}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: c1, namespace: default}
spec:
  topology:
    classRef: {name: c}
    version: v1.37.1
    controlPlane: {replicas: 1}
    workers: {machineDeployments: [{class: worker, name: md, replicas: 0}]}
    variables: [{name: disk, value: S1}]
`

// TestClusterClass: the real topology controller makes our kinds from a ClusterClass, asks by dry runs what would become of the templates, and replaces them by others
// when class or variables change, though no template can be changed.
func TestClusterClass(t *testing.T) {
	bin, err := testapi.Binary()
	ok(t, err)
	p, err := testapi.Start(bin, filepath.Join(t.TempDir(), "state"))
	ok(t, err)
	t.Cleanup(p.Kill)
	core, err := clusterapi.Start(t.Context(), p.API, t.TempDir())
	ok(t, err)
	t.Cleanup(core.Kill)
	ok(t, core.Kinds(t.Context(), "bootstrap/kubeadm/config/crd/bases/*.yaml", "controlplane/kubeadm/config/crd/bases/*.yaml"))
	scheme := runtime.NewScheme()
	ok(t, infra.AddToScheme(scheme))
	ok(t, clusterv1.AddToScheme(scheme))
	c, err := client.New(p.AdminConfig, client.Options{Scheme: scheme})
	ok(t, err)
	ok(t, core.Define(t.Context(), talosKinds(t)))
	t.Run("what clusterctl generates is taken", func(t *testing.T) { generated(t, p.Kubeconfig, c) })
	for _, text := range strings.Split(class, "\n---\n") {
		o := &unstructured.Unstructured{}
		ok(t, yaml.Unmarshal([]byte(text), &o.Object))
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", o.GetKind(), err)
		}
	}
	w := &topology{t: t, c: c}
	first := w.template("small", "S1")
	var clusters infra.IngotClusterList
	ok(t, c.List(t.Context(), &clusters, client.MatchingLabels{clusterv1.ClusterNameLabel: "c1"}))
	if len(clusters.Items) != 1 || clusters.Items[0].Spec.FailureDomainKey != "rack" || clusters.Items[0].Annotations["made"] != "by-template" {
		t.Errorf("%+v", clusters.Items)
	}
	described(t, p.Kubeconfig)
	w.patch("Cluster", "c1", `{"spec":{"topology":{"variables":[{"name":"disk","value":"S2"}]}}}`)
	second := w.template("small", "S2")
	w.patch("ClusterClass", "c", `{"spec":{"workers":{"machineDeployments":[{"class":"worker",
		"bootstrap":{"templateRef":{"apiVersion":"bootstrap.cluster.x-k8s.io/v1beta2","kind":"KubeadmConfigTemplate","name":"c"}},
		"infrastructure":{"templateRef":{"apiVersion":"infrastructure.cluster.x-k8s.io/v1alpha1","kind":"IngotMachineTemplate","name":"big"}}}]}}}`)
	if third := w.template("big", "S2"); first == second || second == third {
		t.Errorf("templates %s, %s, %s", first, second, third)
	}
}

// talosKinds are the Talos providers' kinds, and the one that our release brings: clusterctl asks the API server what the kinds of a class are.
func talosKinds(t *testing.T) (crds []*unstructured.Unstructured) {
	t.Helper()
	all, err := manifests.Read(os.DirFS("../../metal-controller"), "talos-providers/manifests/*-components.yaml", "config/clusterctl/talos.yaml")
	ok(t, err)
	for _, o := range all {
		if o.GetKind() == "CustomResourceDefinition" {
			unstructured.RemoveNestedField(o.Object, "spec", "conversion") // whose webhook nobody runs
			crds = append(crds, o)
		}
	}
	return crds
}

// described: clusterctl finds our objects below the Cluster, and shows what they say.
func described(t *testing.T, kubeconfig string) {
	t.Helper()
	bin, err := clusterapi.Clusterctl()
	ok(t, err)
	text, err := call(t, bin, nil, "describe", "cluster", "c1", "--namespace", "default", "--kubeconfig", kubeconfig, "--show-conditions", "all", "--show-templates")
	if err != nil || !strings.Contains(text, "IngotCluster default/c1-") || !strings.Contains(text, "IngotMachineTemplate default/c1-") {
		t.Errorf("clusterctl describe: %v\n%s", err, text)
	}
}

// topology looks at what the topology controller made.
type topology struct {
	t *testing.T
	c client.Client
}

func (w *topology) patch(kind, name, merge string) {
	w.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(clusterv1.GroupVersion.String())
	o.SetKind(kind)
	o.SetNamespace("default")
	o.SetName(name)
	ok(w.t, w.c.Patch(w.t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(merge))))
}

// template waits until the MachineDeployment's template asks for a class and a disk, and the topology is reconciled, and gives its name.
func (w *topology) template(className, disk string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		name, state := w.look(ctx, className, disk)
		if name != "" {
			return name
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("no template of the class %s with the disk %s: %s", className, disk, state)
		case <-tick.C:
		}
	}
}

func (w *topology) look(ctx context.Context, className, disk string) (name, state string) {
	var cluster clusterv1.Cluster
	if err := w.c.Get(ctx, client.ObjectKey{Namespace: "default", Name: "c1"}, &cluster); err != nil {
		return "", err.Error()
	}
	done := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
	var deployments clusterv1.MachineDeploymentList
	if err := w.c.List(ctx, &deployments, client.MatchingLabels{clusterv1.ClusterNameLabel: "c1"}); err != nil || len(deployments.Items) != 1 {
		return "", fmt.Sprintf("%d MachineDeployments, %v, %+v", len(deployments.Items), err, done)
	}
	var template infra.IngotMachineTemplate
	ref := deployments.Items[0].Spec.Template.Spec.InfrastructureRef
	if err := w.c.Get(ctx, client.ObjectKey{Namespace: "default", Name: ref.Name}, &template); err != nil {
		return "", err.Error()
	}
	s := template.Spec.Template.Spec
	if done == nil || done.Status != metav1.ConditionTrue || s.ClassName != className || s.InstallDisk == nil || s.InstallDisk.Serial != disk {
		return "", fmt.Sprintf("%+v, %+v", s, done)
	}
	return template.Name, ""
}
