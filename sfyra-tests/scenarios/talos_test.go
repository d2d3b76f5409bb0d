//go:build e2e && e2e_talos

package scenarios

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/source"
	"ingot.dev/ingot/sfyra-tests/talos"
)

// Limits of a real Talos, before the factor of emulation: from power-on to its API, and from etcd's begin to a node that runs.
const (
	talosLimit = 3 * time.Minute
	nodeLimit  = 10 * time.Minute
)

// kube is the name of the Kubernetes cluster that is made.
const kube = "lab"

// talosCluster is a site that has the real Talos on offer, and the registry of its images.
type talosCluster struct {
	*site
	guest talos.Guest
	// files holds the patch and the credentials; it is talosctl's home as well.
	files string
	// address is that of the control plane.
	address string
	// began is when the last phase began.
	began time.Time
	watch talos.Stopwatch
}

func newTalosCluster(t *testing.T, flags []string, specs ...rack.Spec) *talosCluster {
	t.Helper()
	guest, err := talos.Open(os.Getenv("INGOT_TALOS_GUEST"))
	if err != nil {
		t.Fatal(err)
	}
	c := &talosCluster{site: newSiteWith(t, flags, specs...), guest: guest, files: t.TempDir(), watch: talos.Stopwatch{Who: "Ingot"}}
	files, err := source.Start(c.host()+":0", guest.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	registry := c.host() + ":5000"
	stop, err := guest.ServeImages(registry, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	args := rack.KernelArgs() + " " + talos.KernelArgs()
	c.write("patch.yaml", guest.Patch(registry, args))
	asset := func(name string) *metal.Asset {
		return &metal.Asset{URL: files.URL(name), SHA256: guest.Files[name].SHA256}
	}
	e := &metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: "talos"}}
	e.Spec.Boot = []metal.BootAssets{{
		Arch: "amd64", Kernel: asset(talos.KernelName), Initramfs: asset(talos.InitramfsName), Args: append(strings.Fields(args), "talos.config={config}"),
	}}
	c.create(e)
	c.create(&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: metal.ServerClassSpec{
		AllowedNamespaces: &metal.NamespaceSelection{All: true}, EnvironmentRef: &metal.NameRef{Name: e.Name},
		InstallDisk: &metal.InstallDisk{Transports: []string{"nvme"}},
	}})
	return c
}

// write keeps a file of the cluster's.
func (c *talosCluster) write(name string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.files, name), data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// talosServer is one that Talos installs itself on. Its installer's image has no UKI, so it is one with a BIOS.
func talosServer(name string, last byte) rack.Spec {
	s := plain(name, last)
	s.Firmware, s.Modern, s.CPUs, s.MemoryMiB, s.Disks[0].SizeBytes = qemu.BIOS, true, 2, 4096, 8<<30
	return s
}

// TestTalosJoins: both sides are real. One command takes a powered-off server: Ingot boots Talos over the network, gives it its machine config over HTTPS, which
// Talos trusts by what the kernel line says; Talos installs itself by its own installer; Ingot says Installed by what Talos' API proves, lets etcd begin, and says
// Running; Kubernetes calls the node Ready. The same command adds a worker. Then a cut of power, a neighbour who tells for the machine, and the end of the cluster: wiped, Available. What is believed is what
// talosctl, Kubernetes, the disk's image, the console and QEMU say.
func TestTalosJoins(t *testing.T) {
	c := newTalosCluster(t, nil, talosServer("c1", 0xa1), talosServer("w1", 0xa2))
	c.began = time.Now()
	for _, name := range []string{"c1", "w1"} {
		c.register(name)
		c.ingot("accept", name, "--wipe-data", "--yes")
	}
	for _, name := range []string{"c1", "w1"} {
		c.awaitServer(name, "it is Available", wipeLimit, available)
		c.await(wipeLimit, name+" is off", func() bool { return c.machine(name).PID() == 0 })
		if c.onDisk(name, "EPHEMERAL") {
			t.Fatal("control: a wiped disk has a partition of Talos")
		}
	}
	c.phase("registered, wiped, off")
	c.watch.Start()
	if said := c.createCluster("--workers", "0"); !strings.Contains(said, "has the endpoint https://") {
		t.Errorf("ingot cluster create said %s", said)
	}
	c.step("HTTPS by early trust", c.fetchesConfig)
	c.step("Installed", c.installs)
	c.step("Running", c.runs)
	c.step("NodeReady", c.nodeReady)
	c.step("WorkerJoins", c.workerJoins)
	c.step("ForgedEvents", c.lies)
	c.step("TestPowerCut", c.comesBack)
	c.step("TestReleaseWipes", c.goes)
}

// phase tells how long one took.
func (c *talosCluster) phase(name string) {
	c.t.Logf("phase %-26s %6.1f s", name, time.Since(c.began).Seconds())
	c.began = time.Now()
}

// lap keeps how long a phase took that the guest goes through without Ingot too.
func (c *talosCluster) lap(phase string) {
	if err := c.watch.Lap(phase); err != nil {
		c.t.Error(err)
	}
}

// createCluster runs the command that makes the cluster, which takes c1 for its control plane.
func (c *talosCluster) createCluster(more ...string) string {
	return c.ingot(append([]string{"cluster", "create", kube, "--class", class, "--talos-version", talos.Version, "--kubernetes-version", talos.KubernetesVersion, "--patch", filepath.Join(c.files, "patch.yaml")}, more...)...)
}

// fetchesConfig: the config is given over HTTPS to a Talos that knows our authority by its kernel line alone.
func (c *talosCluster) fetchesConfig(t *testing.T) {
	v := c.awaitServer("c1", "it fetches its config", 2*talosLimit, func(v *metal.Server) bool {
		b := v.Spec.Record.Boot
		return b != nil && b.Target == metal.BootTargetOS && b.Config != nil
	})
	c.lap(talos.PhaseConfig)
	c.address = v.Spec.Record.Boot.Config.Source
	if v.Spec.Record.Installed != nil {
		t.Errorf("it is said to be installed before it is: %+v", v.Spec.Record.Installed)
	}
	c.gaveConfigs(t, 1)
	c.write(talos.TalosconfigName, []byte(c.ingot("cluster", "talosconfig", kube)))
	c.phase("config over HTTPS")
}

// gaveConfigs: that many configs left, and none over plain HTTP.
func (c *talosCluster) gaveConfigs(t *testing.T, n int) {
	t.Helper()
	given := c.audited(t, reasons.ConfigReleased)
	if len(given) != n || slices.ContainsFunc(given, func(line string) bool { return !strings.HasSuffix(line, " plain=false") }) {
		t.Errorf("configs left %d times, not %d: %s", len(given), n, strings.Join(given, "\n"))
	}
}

// installs: Talos is on the disk and runs from it, in the same QEMU, and Ingot says Installed and not yet Running.
func (c *talosCluster) installs(t *testing.T) {
	pid := c.machine("c1").PID()
	v := c.awaitServer("c1", "it is installed", 3*talosLimit, func(v *metal.Server) bool { return v.Spec.Record.Installed != nil })
	if r := v.Spec.Record.Installed; r.BindingID != v.Spec.Record.Claim.BindingID || r.Config == nil || r.RunningAt != nil || v.Status.State == metal.StateRunning {
		t.Errorf("the state is %s, the record %+v", v.Status.State, r)
	}
	said := c.awaitTalos("talos.platform=metal", "read", "/proc/cmdline")
	c.lap(talos.PhaseInstalled)
	if strings.Contains(said, "ingot.boot=") {
		t.Errorf("what was installed was started from the network: %s", said)
	}
	c.awaitTalos("nvme0n1", "get", "systemdisk")
	c.awaitTalos("c1", "get", "hostname")
	if !c.onDisk("c1", "EPHEMERAL") || !c.onDisk("c1", "STATE") || !c.onDisk("c1", "BIOS") {
		t.Error("the disk has no partitions of Talos")
	}
	if now := c.machine("c1").PID(); now != pid || pid == 0 {
		t.Errorf("QEMU was %d and is %d: Ingot switched a machine that installs", pid, now)
	}
	c.phase("installed, boots its disk")
}

// runs: Ingot let etcd begin, once, and then both sides say Running.
func (c *talosCluster) runs(t *testing.T) {
	c.awaitServer("c1", "etcd may begin", nodeLimit, func(v *metal.Server) bool {
		e := v.Spec.Record.Claim.Etcd
		return e != nil && e.DoneAt != nil && e.BootID == v.Spec.Record.Installed.BootID
	})
	c.phase("etcd began")
	v := c.awaitServer("c1", "it runs", nodeLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	if r := v.Spec.Record.Installed; r.RunningAt == nil || r.EverySeconds != 60 {
		t.Errorf("the record of the installation is %+v", r)
	}
	c.phase("control plane runs")
	c.awaitTalos("running", "get", "machinestatus")
	c.await(bootLimit, "the claim says so", func() bool {
		v := &metal.ServerClaim{}
		return c.client.Get(t.Context(), client.ObjectKey{Namespace: tenant, Name: kube + "-cp-1"}, v) == nil && says(v, reasons.Ready) == reasons.Running
	})
	c.gaveConfigs(t, 1)
	c.beganOnce(t)
	if said := c.ingot("logs", "c1"); !strings.Contains(said, "  kernel  ") || strings.Contains(said, "/v1/config/c1/") {
		t.Errorf("what Talos said of itself is not shown, or a capability is: %s", said[max(0, len(said)-4000):])
	}
}

// beganOnce: one order left Ingot, and one came to Talos, by its own log.
func (c *talosCluster) beganOnce(t *testing.T) {
	t.Helper()
	if lines := c.audited(t, reasons.EtcdBootstrapped); len(lines) != 1 {
		t.Errorf("etcd was ordered to begin %d times: %s", len(lines), strings.Join(lines, "\n"))
	}
	if said := c.awaitTalos("c1", "etcd", "members"); strings.Count(said, "https://") != 2 { // one member's peer and client address
		t.Errorf("etcd's members are %s", said)
	}
}

// nodes is a client of the cluster that was made, with the kubeconfig that Ingot hands over.
func (c *talosCluster) nodes(t *testing.T) client.Client {
	t.Helper()
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(c.ingot("cluster", "kubeconfig", kube)))
	if err != nil {
		t.Fatal(err)
	}
	config.Timeout = time.Minute // an emulated API server is slow
	api, err := client.New(config, client.Options{Scheme: cli.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// awaitNode waits until Kubernetes calls a node Ready, and looks at what Ingot gave it.
func (c *talosCluster) awaitNode(t *testing.T, name string) {
	t.Helper()
	api := c.nodes(t)
	node := &corev1.Node{}
	read := func() bool { return api.Get(t.Context(), client.ObjectKey{Name: name}, node) == nil }
	c.await(nodeLimit, "node "+name+" is Ready", func() bool {
		return read() && slices.ContainsFunc(node.Status.Conditions, func(v corev1.NodeCondition) bool {
			return v.Type == corev1.NodeReady && v.Status == corev1.ConditionTrue
		})
	})
	if node.Spec.ProviderID != "ingot://"+name {
		t.Errorf("node %s has the providerID %q", name, node.Spec.ProviderID)
	}
	// Talos writes labels afterwards, when its API server lets it.
	c.await(nodeLimit, "node "+name+" has the label of its server", func() bool { return read() && node.Labels["metal.ingot.dev/server"] == name })
}

func (c *talosCluster) nodeReady(t *testing.T) {
	c.awaitNode(t, "c1")
	c.lap(talos.PhaseReady)
	c.phase("node Ready")
}

// workerJoins: the same command again adds a worker, whose config holds no authority's key, and begins nothing a second time.
func (c *talosCluster) workerJoins(t *testing.T) {
	if said := c.createCluster("--workers", "1"); !strings.Contains(said, "going on with it") || !strings.Contains(said, kube+"-worker-1") {
		t.Errorf("ingot cluster create said %s", said)
	}
	c.awaitServer("w1", "the worker is installed", 5*talosLimit, func(v *metal.Server) bool { return v.Spec.Record.Installed != nil })
	c.phase("worker installed")
	c.awaitServer("w1", "the worker runs", nodeLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	c.awaitNode(t, "w1")
	c.gaveConfigs(t, 2)
	c.beganOnce(t)
	c.phase("worker is a Ready node")
}

// comesBack: after the cut of power the firmware asks the network first, Ingot leaves the machine to its disk, and GRUB starts what is there. Nothing begins again.
func (c *talosCluster) comesBack(t *testing.T) {
	m := c.machine("c1")
	if err := m.SetBootOverride(t.Context(), machine.BootOverride{}); err != nil {
		t.Fatal(err)
	}
	c.watch.Start()
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitTalos("BOOT_IMAGE=", "read", "/proc/cmdline") // GRUB puts that in front of the line; kexec does not
	c.lap(talos.PhaseDisk)
	c.phase("cut of power, boots its disk")
	c.await(nodeLimit, "its stage is running", func() bool {
		said, err := c.talosctl("get", "machinestatus")
		return err == nil && strings.Contains(said, "running")
	})
	c.awaitServer("c1", "it still runs", talosLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	c.gaveConfigs(t, 2)
	c.beganOnce(t)
	c.phase("runs again")
}

// awaitWiped waits until a server is Available again and off; nothing of Talos is left on its disk.
func (c *talosCluster) awaitWiped(t *testing.T, name string) {
	t.Helper()
	c.awaitServer(name, "it is Available again", 2*wipeLimit, available)
	c.await(wipeLimit, name+" is off", func() bool { return c.machine(name).PID() == 0 })
	if c.onDisk(name, "EPHEMERAL") || c.onDisk(name, "STATE") {
		t.Errorf("%s: partitions of Talos are left", name)
	}
}

// goes: the cluster is deleted, the machines are off, and nothing of Talos is left on their disks.
func (c *talosCluster) goes(t *testing.T) {
	c.ingot("cluster", "delete", kube, "--yes", "--wait")
	for _, name := range []string{"c1", "w1"} {
		c.awaitWiped(t, name)
	}
	if _, err := c.try("cluster", "kubeconfig", kube); err == nil {
		t.Error("the cluster is gone, and its authority is not")
	}
	c.phase("deleted, wiped, Available")
}

// onDisk says whether the partition table at the head of the disk's image has a partition of this name.
func (c *talosCluster) onDisk(server, name string) bool {
	c.t.Helper()
	f, err := os.Open(c.images(server, 1)[0])
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	table := make([]byte, 34*512)
	if _, err := io.ReadFull(f, table); err != nil {
		c.t.Fatal(err)
	}
	var wide []byte
	for _, unit := range utf16.Encode([]rune(name)) {
		wide = binary.LittleEndian.AppendUint16(wide, unit)
	}
	return bytes.Contains(table, wide)
}

// talosctl asks the machine with the cluster's certificates.
func (c *talosCluster) talosctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	who := []string{"--nodes", c.address, "--endpoints", c.address, "--talosconfig", filepath.Join(c.files, talos.TalosconfigName)}
	cmd := exec.CommandContext(ctx, c.guest.Program("talosctl"), slices.Concat(args, who)...)
	cmd.Env = append(os.Environ(), "HOME="+c.files)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// awaitTalos asks until the answer has a text. Each question costs an emulated machine seconds, so it pauses for as long as the one before took.
func (c *talosCluster) awaitTalos(want string, args ...string) (said string) {
	c.t.Helper()
	var next time.Time
	c.await(talosLimit, "talosctl "+strings.Join(args, " ")+" says "+want, func() bool {
		if time.Now().Before(next) {
			return false
		}
		began := time.Now()
		var err error
		said, err = c.talosctl(args...)
		next = time.Now().Add(time.Since(began))
		return err == nil && strings.Contains(said, want)
	})
	return said
}
