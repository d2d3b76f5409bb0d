//go:build e2e

package setup_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// machineSet makes a MachineSet of control planes, which gives up its oldest machine first.
func (w *tenant) machineSet(cluster, name string, replicas int32) *clusterv1.MachineSet {
	w.t.Helper()
	labels := map[string]string{"set": name, clusterv1.MachineControlPlaneLabel: ""}
	template := &infra.IngotMachineTemplate{ObjectMeta: w.meta(name), Spec: infra.IngotMachineTemplateSpec{
		Template: infra.IngotMachineTemplateResource{Spec: infra.IngotMachineSpec{ClassName: w.ns}},
	}}
	s := &clusterv1.MachineSet{ObjectMeta: w.meta(name), Spec: clusterv1.MachineSetSpec{
		ClusterName: cluster, Replicas: &replicas, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"set": name}},
		Deletion: clusterv1.MachineSetDeletionSpec{Order: clusterv1.OldestMachineSetDeletionOrder},
	}}
	s.Spec.Template = clusterv1.MachineTemplateSpec{ObjectMeta: clusterv1.ObjectMeta{Labels: labels}, Spec: clusterv1.MachineSpec{
		ClusterName: cluster, Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr("config")}, InfrastructureRef: w.ref("IngotMachineTemplate", name),
	}}
	w.create(template, s)
	return s
}

// sized scales a MachineSet, and installs its new machines, or lets those that go be switched off. known are the servers by machine.
func (w *tenant) sized(s *clusterv1.MachineSet, n int, known map[string]string) {
	w.t.Helper()
	patchOf(w.t, s, fmt.Sprintf(`{"spec":{"replicas":%d}}`, n))
	var all []infra.IngotMachine
	w.until(fmt.Sprintf("%d machines of %s", n, s.Name), s, func() bool { all = w.members(s.Name); return len(all) == n })
	there := map[string]bool{}
	for i := range all {
		there[all[i].Name] = true
		if known[all[i].Name] == "" {
			known[all[i].Name] = w.installs(&all[i]).Name
		}
	}
	for name, server := range maps.Clone(known) {
		if own := (&infra.IngotMachine{ObjectMeta: w.meta(name)}); !there[name] {
			w.goesOff(server)
			w.gone(own)
			delete(known, name)
		}
	}
}

// racks counts servers by rack.
func (w *tenant) racks(known ...map[string]string) map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, servers := range known {
		for _, name := range servers {
			out[w.rack(name)]++
		}
	}
	return out
}

// givesUp marks the old machine that goes next: one in the fullest rack, which a provider of control planes chooses too. By itself a MachineSet takes any, as no machine has a Node
// here (cluster-api v1.14.2, core/reconcilers/machineset: its orders ask for a Node first).
func (w *tenant) givesUp(old map[string]string, racks map[string]int) {
	w.t.Helper()
	most, goes := 0, ""
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if n := racks[w.rack(old[name])]; n > most {
			most, goes = n, name
		}
	}
	patchOf(w.t, &clusterv1.Machine{ObjectMeta: w.meta(goes)}, `{"metadata":{"annotations":{"`+clusterv1.DeleteMachineAnnotation+`":"yes"}}}`)
}

// comesNext names the failure domain of the next new machine: one with the fewest new machines, as the provider of control planes does during a rollout. Without it a claim is spread over
// all control planes of the cluster, old ones too, which says nothing of where the new ones stand in the end.
func (w *tenant) comesNext(s *clusterv1.MachineSet, young map[string]int) {
	w.t.Helper()
	domain := slices.MinFunc([]string{"ra", "rb", "rc"}, func(a, b string) int { return young[a] - young[b] })
	patchOf(w.t, s, fmt.Sprintf(`{"spec":{"template":{"spec":{"failureDomain":%q}}}}`, domain))
}

// rack of a server.
func (w *tenant) rack(name string) string {
	w.t.Helper()
	var s metal.Server
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: name}, &s); err != nil {
		w.t.Fatal(err)
	}
	return s.Labels["rack"]
}

// TestSpreadRollout replaces three control planes in three racks one by one, with one more on the way as control plane providers do it. Machines are made and deleted by
// the real core, from two MachineSets that the test scales against each other, and whose next machine it names as a provider of control planes does (such a one does nothing without Nodes). The first
// three are spread by controlPlaneSpread alone. No rack ever holds two more than
// another, and each holds one in the end. Without a spread the same servers are taken from one rack: the control.
func TestSpreadRollout(t *testing.T) {
	w := newTenant(t)
	for _, name := range []string{"a0", "a1", "a2", "a3", "b0", "b1", "b2", "c0", "c1"} {
		w.server(w.ns+"-"+name, "r"+name[:1])
	}
	w.readyCluster("c1")
	before, after := w.machineSet("c1", "before", 0), w.machineSet("c1", "after", 0)
	old, young := map[string]string{}, map[string]string{}
	for n := 1; n <= 3; n++ {
		w.sized(before, n, old)
	}
	if got := w.racks(old); !maps.Equal(got, map[string]int{"ra": 1, "rb": 1, "rc": 1}) {
		t.Fatalf("three control planes stand in %v", got)
	}
	for n := 1; n <= 3; n++ {
		w.comesNext(after, w.racks(young))
		w.sized(after, n, young)
		if got := w.racks(old, young); len(got) != 3 || max(got["ra"], got["rb"], got["rc"]) > 2 {
			t.Errorf("with the new one number %d they stand in %v", n, got)
		}
		w.givesUp(old, w.racks(old, young))
		w.sized(before, 3-n, old)
		if got := w.racks(old, young); max(got["ra"], got["rb"], got["rc"])-min(got["ra"], got["rb"], got["rc"]) > 1 {
			t.Errorf("without the old one number %d they stand in %v", n, got)
		}
	}
	if got := w.racks(young); !maps.Equal(got, map[string]int{"ra": 1, "rb": 1, "rc": 1}) || len(old) != 0 {
		t.Errorf("in the end they stand in %v, and the old ones are %v", got, old)
	}
	t.Run("control: without a spread", func(t *testing.T) {
		own := w.readyCluster("c2")
		patchOf(t, &infra.IngotCluster{ObjectMeta: w.meta(own.Name)}, `{"spec":{"controlPlaneSpread":null}}`)
		bare := map[string]string{}
		w.sized(w.machineSet("c2", "bare", 0), 2, bare)
		if got := w.racks(bare); got["ra"] != 2 {
			t.Errorf("they stand in %v, though two servers of the rack ra come first", got)
		}
	})
}

// TestScaleFromZeroCapacity: what the cluster autoscaler reads of a MachineDeployment without machines. Its provider clusterapi follows spec.template.spec.infrastructureRef and reads
// status.capacity and status.nodeInfo of what it finds there as maps of strings, capacities as quantities; it scales from zero when cpu and memory are among them
// (clusterapi_unstructured.go: CanScaleFromZero, InstanceCapacity, InstanceSystemInfo). Its module is not built here: it brings the scheduler, and its own client of the API.
func TestScaleFromZeroCapacity(t *testing.T) {
	w := newTenant(t)
	w.readyCluster("c1")
	d := w.set("c1", "md", 0, nil)
	if capacity, _ := w.autoscaler(d); len(capacity) != 0 {
		t.Errorf("control: without a server the capacity is %v", capacity)
	}
	w.server(w.ns+"-0", "r1")
	w.until("its capacity", d, func() bool {
		capacity, info := w.autoscaler(d)
		return capacity["cpu"] == "8" && capacity["memory"] == "16Gi" && info["architecture"] == "amd64" && info["operatingSystem"] == "linux"
	})
	w.fromZero(d)
}

// fromZero lets the MachineDeployment grow from zero, as the autoscaler does through its subresource scale.
func (w *tenant) fromZero(d *clusterv1.MachineDeployment) {
	w.t.Helper()
	scale := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":1}}`))
	if err := w.admin.SubResource("scale").Patch(w.t.Context(), d.DeepCopy(), scale); err != nil {
		w.t.Fatal(err)
	}
	known := map[string]string{}
	w.grown(d, 1, known)
}

// autoscaler reads what stands behind a MachineDeployment, as the cluster autoscaler does.
func (w *tenant) autoscaler(d *clusterv1.MachineDeployment) (capacity, info map[string]string) {
	w.t.Helper()
	raw := &unstructured.Unstructured{}
	raw.SetAPIVersion(clusterv1.GroupVersion.String())
	raw.SetKind("MachineDeployment")
	if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(d), raw); err != nil {
		w.t.Fatal(err)
	}
	ref, _, err := unstructured.NestedStringMap(raw.Object, "spec", "template", "spec", "infrastructureRef")
	if err != nil {
		w.t.Fatal(err)
	}
	template := &unstructured.Unstructured{}
	template.SetAPIVersion(ref["apiGroup"] + "/v1alpha1")
	template.SetKind(ref["kind"])
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: d.Namespace, Name: ref["name"]}, template); err != nil {
		w.t.Fatal(err)
	}
	if capacity, _, err = unstructured.NestedStringMap(template.Object, "status", "capacity"); err != nil {
		w.t.Fatal(err)
	}
	if info, _, err = unstructured.NestedStringMap(template.Object, "status", "nodeInfo"); err != nil {
		w.t.Fatal(err)
	}
	return capacity, info
}
