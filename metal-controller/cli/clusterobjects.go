package cli

import (
	"cmp"
	"net/url"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

// The kinds of Cluster API that a cluster is made of, besides Ingot's own. Those of the Talos providers keep the contract v1beta1, and Cluster API serves both.
var (
	clusterKind      = schema.GroupVersionKind{Group: "cluster.x-k8s.io", Version: "v1beta2", Kind: "Cluster"}
	deploymentKind   = schema.GroupVersionKind{Group: "cluster.x-k8s.io", Version: "v1beta2", Kind: "MachineDeployment"}
	controlPlaneKind = schema.GroupVersionKind{Group: "controlplane.cluster.x-k8s.io", Version: "v1alpha3", Kind: "TalosControlPlane"}
	configKind       = schema.GroupVersionKind{Group: "bootstrap.cluster.x-k8s.io", Version: "v1alpha3", Kind: "TalosConfigTemplate"}
	infraKind        = schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1alpha1", Kind: "IngotCluster"}
	machineKind      = schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1alpha1", Kind: "IngotMachineTemplate"}
)

// The networks of pods and Services: what Talos' generator takes, which stand-alone clusters have.
const podNetwork, serviceNetwork = "10.244.0.0/16", "10.96.0.0/12"

// machines are what the machines of one role have in common.
type machines struct {
	count int
	spec  metal.ServerClaimSpec
}

// clusterObjects are the objects of Cluster API that make a cluster, in the order in which they are made. It is pure. The names are those of the template of Ingot's
// release for clusterctl.
func clusterObjects(name, namespace, endpoint, talosVersion, kubernetesVersion string, controlPlanes, workers machines) ([]*unstructured.Unstructured, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseInt(cmp.Or(u.Port(), "443"), 10, 32)
	if err != nil {
		return nil, err
	}
	b := objects{name: name, namespace: namespace, version: "v" + kubernetesVersion}
	config := func(kind string) map[string]any {
		image := "machine:\n  install:\n    image: " + taloscluster.Installer(talosVersion) + "\n"
		return map[string]any{"generateType": kind, "talosVersion": talosVersion, "strategicPatches": []any{image}}
	}
	all := []*unstructured.Unstructured{
		b.cluster(),
		b.object(infraKind, name, map[string]any{"controlPlaneEndpoint": map[string]any{"host": u.Hostname(), "port": port}}),
		b.machines(name+"-control-plane", controlPlanes.spec),
		b.object(controlPlaneKind, name, map[string]any{
			"version": b.version, "replicas": int64(controlPlanes.count), "controlPlaneConfig": map[string]any{"controlplane": config("controlplane")},
			"infrastructureTemplate": map[string]any{"apiVersion": machineKind.GroupVersion().String(), "kind": machineKind.Kind, "name": name + "-control-plane"},
		}),
	}
	if workers.count > 0 {
		all = append(all, b.machines(name+"-workers", workers.spec),
			b.object(configKind, name+"-workers", map[string]any{"template": map[string]any{"spec": config("join")}}), b.workers(int64(workers.count)))
	}
	return all, nil
}

// objects makes the objects of one cluster.
type objects struct {
	name, namespace, version string
}

func (b objects) object(kind schema.GroupVersionKind, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetGroupVersionKind(kind)
	o.SetName(name)
	o.SetNamespace(b.namespace)
	o.SetLabels(map[string]string{metal.ClusterLabel: b.name})
	return o
}

func (b objects) cluster() *unstructured.Unstructured {
	return b.object(clusterKind, b.name, map[string]any{
		"clusterNetwork":    map[string]any{"pods": map[string]any{"cidrBlocks": []any{podNetwork}}, "services": map[string]any{"cidrBlocks": []any{serviceNetwork}}},
		"infrastructureRef": reference(infraKind, b.name), "controlPlaneRef": reference(controlPlaneKind, b.name),
	})
}

// machines is the template of machines of a role: what a stand-alone cluster says in claims.
func (b objects) machines(name string, claim metal.ServerClaimSpec) *unstructured.Unstructured {
	spec := map[string]any{"className": claim.ClassName}
	if claim.EnvironmentName != "" {
		spec["environmentName"] = claim.EnvironmentName
	}
	if claim.InstallDisk != nil { // it is only ever this
		spec["installDisk"] = map[string]any{"prefer": string(claim.InstallDisk.Prefer)}
	}
	var patches []any
	for _, p := range claim.Patches {
		patches = append(patches, p)
	}
	if len(patches) > 0 {
		spec["patches"] = patches
	}
	return b.object(machineKind, name, map[string]any{"template": map[string]any{"spec": spec}})
}

func (b objects) workers(replicas int64) *unstructured.Unstructured {
	name := b.name + "-workers"
	return b.object(deploymentKind, name, map[string]any{
		"clusterName": b.name, "replicas": replicas, "selector": map[string]any{"matchLabels": map[string]any{}},
		"template": map[string]any{"spec": map[string]any{
			"clusterName": b.name, "version": b.version,
			"bootstrap": map[string]any{"configRef": reference(configKind, name)}, "infrastructureRef": reference(machineKind, name),
		}},
	})
}

func reference(kind schema.GroupVersionKind, name string) map[string]any {
	return map[string]any{"apiGroup": kind.Group, "kind": kind.Kind, "name": name}
}
