//go:build e2e && e2e_talos

package scenarios

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/talos"
)

// The classes of the lifecycle: the endpoint of its cluster is the address of the one server that control planes may have.
const controlClass, workClass = "control", "work"

// TestClusterLifecycle: a cluster of real Talos machines by Cluster API, all within `ingot up`: its core in the program, the Talos providers in their child. One
// command makes a control plane and a worker; the worker is rolled onto the third server; workers are scaled to none and back;
// then the cluster is deleted: all servers wiped and Available. The Talos provider begins etcd here, and Ingot does not. What is
// believed is what Kubernetes, Cluster API's own objects, the disks' images and QEMU say.
func TestClusterLifecycle(t *testing.T) {
	servers := []string{"c1", "w1", "w2"}
	specs := []rack.Spec{talosServer("c1", 0xb1), talosServer("w1", 0xb2), talosServer("w2", 0xb3)}
	for i := range specs[1:] { // on two emulated cores workers must not take the control plane's time: its API server misses its health checks, and restarts for ever
		specs[1+i].MemoryMiB, specs[1+i].CPUs = 3072, 1
	}
	c := newTalosCluster(t, []string{"--cluster-api"}, specs...)
	c.began = time.Now()
	for _, name := range servers {
		c.register(name)
		c.ingot("accept", name, "--wipe-data", "--yes")
	}
	var address string
	for _, name := range servers {
		v := c.awaitServer(name, "it is Available", wipeLimit, available)
		c.await(wipeLimit, name+" is off", func() bool { return c.machine(name).PID() == 0 })
		c.sort(name)
		if name == "c1" && len(v.Status.Addresses) > 0 {
			address = v.Status.Addresses[0]
		}
	}
	c.phase("registered, wiped, off")
	c.step("create", func(t *testing.T) { c.made(t, address) })
	c.step("roll", c.rolled)
	c.step("scale", func(t *testing.T) { c.scaled(t, address) })
	c.step("delete", func(t *testing.T) { c.deleted(t, servers) })
}

// sort puts a server into the class of control planes, or that of workers.
func (c *talosCluster) sort(name string) {
	c.t.Helper()
	class := workClass
	if name == "c1" {
		class = controlClass
	}
	if err := c.patch(name, `{"metadata":{"labels":{"for":"`+class+`"}}}`); err != nil {
		c.t.Fatal(err)
	}
	v := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: metal.ServerClassSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"for": class}}, AllowedNamespaces: &metal.NamespaceSelection{All: true},
		EnvironmentRef: &metal.NameRef{Name: "talos"}, InstallDisk: &metal.InstallDisk{Transports: []string{"nvme"}},
	}}
	if err := c.client.Create(c.t.Context(), v); client.IgnoreAlreadyExists(err) != nil {
		c.t.Fatal(err)
	}
}

// lifecycle runs the command that makes the cluster, and makes it larger.
func (c *talosCluster) lifecycle(address, workers string) string {
	return c.ingot("cluster", "create", kube, "--class", controlClass, "--worker-class", workClass, "--workers", workers, "--endpoint", "https://"+address+":6443",
		"--talos-version", talos.Version, "--kubernetes-version", talos.KubernetesVersion, "--patch", filepath.Join(c.files, "patch.yaml"))
}

// made: the objects become machines, the machines Talos, and Talos Nodes, without another word. First the control plane, then, by the same command, a worker.
func (c *talosCluster) made(t *testing.T, address string) {
	if said := c.lifecycle(address, "0"); !strings.Contains(said, "taloscontrolplane/"+kube+" is made") {
		t.Fatalf("ingot cluster create said %s", said)
	}
	v := c.awaitServer("c1", "it is installed", 5*talosLimit, func(v *metal.Server) bool { return v.Spec.Record.Installed != nil })
	c.phase("control plane installed")
	if got := v.Spec.Record.Boot.Config; got != nil && got.Source != address {
		t.Errorf("the endpoint is %s, and the control plane is at %s", address, got.Source)
	}
	c.awaitServer("c1", "it runs", 2*nodeLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	c.phase("control plane runs")
	c.awaitNode(t, "c1")
	c.phase("control plane is a Ready node")
	if said := c.lifecycle(address, "1"); !strings.Contains(said, "machinedeployment/"+kube+"-workers is made") {
		t.Fatalf("ingot cluster create said %s", said)
	}
	worker := c.awaitWorkers(t, 1)[0]
	c.awaitNode(t, worker)
	c.phase("worker is a Ready node")
	c.awaitMachines(t, 2)
	if v := c.awaitServer("c1", "it is there", bootLimit, func(*metal.Server) bool { return true }); v.Spec.Record.Claim.Etcd != nil {
		t.Errorf("Ingot began etcd as well: %+v", v.Spec.Record.Claim.Etcd)
	}
	if lines := c.audited(t, reasons.EtcdBootstrapped); len(lines) != 0 {
		t.Errorf("Ingot ordered etcd to begin: %s", strings.Join(lines, "\n"))
	}
}

// rolled: as `clusterctl alpha rollout restart` asks for it, without a third machine at a time (maxSurge 0), for two emulated cores. In the end another server is the
// worker, the old Node is gone, and its server wiped.
func (c *talosCluster) rolled(t *testing.T) {
	before := c.awaitWorkers(t, 1)[0]
	patch := `{"spec":{"rollout":{"after":"` + time.Now().UTC().Format(time.RFC3339) + `","strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}}`
	if err := c.client.Patch(t.Context(), workers(), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
	var after string
	c.await(3*nodeLimit, "another server is the worker", func() bool {
		workers, err := c.runningWorkers(t)
		if err != nil || len(workers) != 1 || workers[0] == before {
			return false
		}
		after = workers[0]
		return true
	})
	c.awaitNode(t, after)
	c.awaitMachines(t, 2)
	c.phase("rolled onto " + after)
	c.awaitLeft(t, before)
	if !c.onDisk(after, "EPHEMERAL") {
		t.Errorf("control: %s runs Talos, and its disk has no partition of it", after)
	}
	c.phase("the old worker is wiped")
}

// workers is the MachineDeployment of the cluster, to be patched.
func workers() *unstructured.Unstructured {
	d := &unstructured.Unstructured{}
	d.SetAPIVersion("cluster.x-k8s.io/v1beta2")
	d.SetKind("MachineDeployment")
	d.SetNamespace(tenant)
	d.SetName(kube + "-workers")
	return d
}

// awaitLeft waits until a worker is no Node any more, and its server is wiped.
func (c *talosCluster) awaitLeft(t *testing.T, name string) {
	t.Helper()
	api := c.nodes(t)
	c.await(nodeLimit, "the Node "+name+" is gone", func() bool {
		return apierrors.IsNotFound(api.Get(t.Context(), client.ObjectKey{Name: name}, &corev1.Node{}))
	})
	c.awaitWiped(t, name)
}

// scaled: to no worker, whose Node goes and whose server is wiped, and by the first command again to one. Where there is room for a third machine, to two: on two
// emulated cores it takes so much of the control plane's time that kube-controller-manager never starts, and nobody signs the third machine's certificate.
func (c *talosCluster) scaled(t *testing.T, address string) {
	before := c.awaitWorkers(t, 1)[0]
	if err := c.client.Patch(t.Context(), workers(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))); err != nil {
		t.Fatal(err)
	}
	c.awaitLeft(t, before)
	c.awaitWorkers(t, 0)
	c.phase("scaled to no worker")
	most := 1
	if runtime.NumCPU() >= 4 {
		most = 2
	}
	for n := 1; n <= most; n++ {
		if said := c.lifecycle(address, strconv.Itoa(n)); !strings.Contains(said, fmt.Sprintf("has %d machines now", n)) {
			t.Fatalf("ingot cluster create said %s", said)
		}
		for _, worker := range c.awaitWorkers(t, n) {
			c.awaitNode(t, worker)
		}
		c.awaitMachines(t, n+1)
	}
	c.gaveConfigs(t, 3+most) // of the control plane, and of the workers that were made, rolled and scaled
	c.phase(fmt.Sprintf("scaled to %d", most))
}

// deleted: what Kubernetes and Cluster API held is gone, and so is Talos on each disk.
func (c *talosCluster) deleted(t *testing.T, servers []string) {
	c.ingot("cluster", "delete", kube, "--yes", "--wait")
	c.phase("the Cluster is gone")
	for _, name := range servers {
		c.awaitWiped(t, name)
	}
	c.phase("wiped, Available")
}

// awaitWorkers waits until so many workers run, and names their servers.
func (c *talosCluster) awaitWorkers(t *testing.T, n int) (servers []string) {
	t.Helper()
	c.await(3*nodeLimit, "workers run", func() bool {
		var err error
		servers, err = c.runningWorkers(t)
		return err == nil && len(servers) == n
	})
	return servers
}

// runningWorkers are the servers of the workers that run, by name.
func (c *talosCluster) runningWorkers(t *testing.T) (servers []string, err error) {
	var list metal.ServerClaimList
	err = c.client.List(t.Context(), &list, client.InNamespace(tenant), client.MatchingLabels{metal.ClusterRoleLabel: metal.RoleWorker})
	for i := range list.Items {
		if v := &list.Items[i]; v.Spec.Binding != nil && says(v, reasons.Ready) == reasons.Running {
			servers = append(servers, v.Spec.Binding.Server)
		}
	}
	slices.Sort(servers)
	return servers, err
}

// awaitMachines waits until Cluster API has found a Node for so many Machines, each by the providerID of its server.
func (c *talosCluster) awaitMachines(t *testing.T, n int) {
	t.Helper()
	c.await(nodeLimit, "Machines have Nodes", func() bool {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("cluster.x-k8s.io/v1beta2")
		list.SetKind("MachineList")
		if c.client.List(t.Context(), list, client.InNamespace(tenant)) != nil {
			return false
		}
		found := 0
		for _, m := range list.Items {
			node, _, _ := unstructured.NestedString(m.Object, "status", "nodeRef", "name")
			id, _, _ := unstructured.NestedString(m.Object, "spec", "providerID")
			if node != "" && id == "ingot://"+node {
				found++
			}
		}
		return found == n && len(list.Items) == n
	})
}
