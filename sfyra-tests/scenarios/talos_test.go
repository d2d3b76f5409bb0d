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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/source"
	"ingot.dev/ingot/sfyra-tests/talos"
)

// talosLimit is how long a Talos may take from power-on to its API, before the factor of emulation.
const talosLimit = 3 * time.Minute

// talosCluster is a site that has the real Talos on offer, and the registry of its images.
type talosCluster struct {
	*site
	guest talos.Guest
	// files holds the machine config and talosctl's own config; it is talosctl's home as well.
	files string
	// address is the machine's, once it fetched its config.
	address string
}

func newTalosCluster(t *testing.T, specs ...rack.Spec) *talosCluster {
	t.Helper()
	guest, err := talos.Open(os.Getenv("INGOT_TALOS_GUEST"))
	if err != nil {
		t.Fatal(err)
	}
	c := &talosCluster{site: newSite(t, specs...), guest: guest, files: t.TempDir()}
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
	if err := guest.Generate(t.Context(), c.files, talos.Cluster{Host: "127.0.0.1", Registry: registry, Args: args}); err != nil {
		t.Fatal(err)
	}
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
		InstallDisk: &metal.InstallDisk{Transports: []string{"nvme"}}, // the config itself names a disk that the machine does not have
	}})
	return c
}

// talosServer is one that Talos installs itself on. Its installer's image has no UKI, so it is one with a BIOS.
func talosServer(name string, last byte) rack.Spec {
	s := plain(name, last)
	s.Firmware, s.Modern, s.CPUs, s.MemoryMiB, s.Disks[0].SizeBytes = qemu.BIOS, true, 2, 3584, 8<<30
	return s
}

// TestTalosRuns: both sides are real. Ingot takes a server, boots Talos over the network, gives it its machine config over HTTPS, which Talos trusts by what the
// kernel line says; Talos installs itself by its own installer; and Ingot says Installed and Running by what Talos' API proves. Then a cut of power, and the
// release. What is believed is what talosctl, the disk's image, the console and QEMU say.
func TestTalosRuns(t *testing.T) {
	c := newTalosCluster(t, talosServer("c1", 0xa1))
	c.register("c1")
	c.ingot("accept", "c1", "--wipe-data", "--yes")
	c.awaitServer("c1", "it is Available", wipeLimit, available)
	if c.onDisk("EPHEMERAL") {
		t.Fatal("control: a wiped disk has a partition of Talos")
	}
	c.ingot("claim", "node", "--class", class, "--config", filepath.Join(c.files, talos.ConfigName))
	c.step("HTTPS by early trust", c.fetchesConfig)
	c.step("Installed", c.installs)
	c.step("Running", c.runs)
	c.step("TestPowerCut", c.comesBack)
	c.step("TestReleaseWipes", c.goes)
}

// fetchesConfig: the config is given over HTTPS to a Talos that knows our authority by its kernel line alone.
func (c *talosCluster) fetchesConfig(t *testing.T) {
	v := c.awaitServer("c1", "it fetches its config", 2*talosLimit, func(v *metal.Server) bool {
		b := v.Spec.Record.Boot
		return b != nil && b.Target == metal.BootTargetOS && b.Config != nil
	})
	c.address = v.Spec.Record.Boot.Config.Source
	if v.Spec.Record.Installed != nil {
		t.Errorf("it is said to be installed before it is: %+v", v.Spec.Record.Installed)
	}
	c.gaveConfigOnce(t)
}

// gaveConfigOnce: one config left, and not over plain HTTP.
func (c *talosCluster) gaveConfigOnce(t *testing.T) {
	t.Helper()
	var given []string
	for _, line := range strings.Split(c.log(t), "\n") {
		if strings.Contains(line, "audit") && strings.Contains(line, reasons.ConfigReleased) {
			given = append(given, line)
		}
	}
	if len(given) != 1 || !strings.HasSuffix(given[0], " plain=false") {
		t.Errorf("the config left %d times: %s", len(given), strings.Join(given, "\n"))
	}
}

func (c *talosCluster) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.stateDir(), "logs", "control-plane.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// installs: Talos is on the disk and runs from it, in the same QEMU, and Ingot says Installed and not yet Running, for etcd has not begun.
func (c *talosCluster) installs(t *testing.T) {
	pid := c.machine("c1").PID()
	v := c.awaitServer("c1", "it is installed", 3*talosLimit, func(v *metal.Server) bool { return v.Spec.Record.Installed != nil })
	if r := v.Spec.Record.Installed; r.BindingID != v.Spec.Record.Claim.BindingID || r.Config == nil || r.RunningAt != nil || v.Status.State == metal.StateRunning {
		t.Errorf("the state is %s, the record %+v", v.Status.State, r)
	}
	c.awaitTalos("Server:", "version")
	if said := c.awaitTalos("talos.platform=metal", "read", "/proc/cmdline"); strings.Contains(said, "ingot.boot=") {
		t.Errorf("what was installed was started from the network: %s", said)
	}
	c.awaitTalos("nvme0n1", "get", "systemdisk")
	c.awaitTalos("c1", "get", "hostname")
	c.awaitTalos("booting", "get", "machinestatus")
	if !c.onDisk("EPHEMERAL") || !c.onDisk("STATE") || !c.onDisk("BIOS") {
		t.Error("the disk has no partitions of Talos")
	}
	if now := c.machine("c1").PID(); now != pid || pid == 0 {
		t.Errorf("QEMU was %d and is %d: Ingot switched a machine that installs", pid, now)
	}
}

// runs: etcd begins, as whoever owns the cluster orders, and then both sides say Running.
func (c *talosCluster) runs(t *testing.T) {
	c.awaitTalos("", "bootstrap")
	v := c.awaitServer("c1", "it runs", 2*talosLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	if r := v.Spec.Record.Installed; r.RunningAt == nil || r.EverySeconds != 60 {
		t.Errorf("the record of the installation is %+v", r)
	}
	c.awaitTalos("running", "get", "machinestatus")
	c.await(bootLimit, "the claim says so", func() bool {
		v := &metal.ServerClaim{}
		return c.client.Get(t.Context(), client.ObjectKey{Namespace: tenant, Name: "node"}, v) == nil && says(v, reasons.Ready) == reasons.Running
	})
	c.gaveConfigOnce(t)
}

// comesBack: after a cut of power the firmware asks the network first, Ingot leaves the machine to its disk, and GRUB starts what is there.
func (c *talosCluster) comesBack(t *testing.T) {
	m := c.machine("c1")
	if err := m.ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.SetBootOverride(t.Context(), machine.BootOverride{}); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitTalos("BOOT_IMAGE=", "read", "/proc/cmdline") // GRUB puts that in front of the line; kexec does not
	c.awaitTalos("running", "get", "machinestatus")
	c.awaitServer("c1", "it still runs", talosLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	c.gaveConfigOnce(t)
}

// goes: the claim is given back, the machine is off, and nothing of Talos is left on its disk.
func (c *talosCluster) goes(t *testing.T) {
	c.ingot("release", "node", "--yes")
	c.awaitServer("c1", "it is Available again", 2*wipeLimit, available)
	if c.machine("c1").PID() != 0 {
		t.Error("the server is Available, and QEMU still runs")
	}
	if c.onDisk("EPHEMERAL") || c.onDisk("STATE") {
		t.Error("partitions of Talos are left")
	}
}

// onDisk says whether the partition table at the head of the disk's image has a partition of this name.
func (c *talosCluster) onDisk(name string) bool {
	c.t.Helper()
	f, err := os.Open(c.images("c1", 1)[0])
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
