//go:build e2e

// Package scenarios proves the path end to end: the programs run as child processes with public flags, the servers are QEMU with real firmware,
// and what is believed comes from the host's disk images, QEMU's monitor and the serial lines.
package scenarios

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/netns"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	netns.Main(m)
}

// bootLimit is how long one server may take from power-on to its inventory, before the factor of emulation.
const bootLimit = time.Minute

// site is a rack with `ingot up` serving it.
type site struct {
	t *testing.T
	// root is the whole test's, also within a step.
	root   *testing.T
	dir    string
	rack   *rack.Rack
	client client.WithWatch
	up     *testapi.Process
	upLog  *os.File
	serves []string // the flags of `ingot up` that say what it serves
	flags  []string // more of them
	// taps are the records of the switch so far.
	taps []*wiretap
	// faults make the BMC of a server misbehave.
	faults map[string]*fakebmc.Faults
}

// newSite racks the servers, all off, and starts Ingot on their switch.
func newSite(t *testing.T, specs ...rack.Spec) *site { return newSiteWith(t, nil, specs...) }

// newSiteWith does the same with more flags for `ingot up`.
func newSiteWith(t *testing.T, flags []string, specs ...rack.Spec) *site {
	t.Helper()
	s := newBareSite(t, specs...)
	s.serves, s.flags = []string{"--interface", s.rack.Bridge(), "--agent-image", os.Getenv("INGOT_AGENT_IMAGE")}, flags
	s.begin()
	return s
}

// newBareSite racks the servers, all off.
func newBareSite(t *testing.T, specs ...rack.Spec) *site {
	t.Helper()
	return newBareSiteOn(t, netip.Prefix{}, specs...)
}

// newBareSiteOn does the same on a switch with that address; unset, it is that of racks.
func newBareSiteOn(t *testing.T, address netip.Prefix, specs ...rack.Spec) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") // short: unix sockets have 108 bytes for their path
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, root: t, dir: dir, faults: map[string]*fakebmc.Faults{}}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.rack, err = rack.New(t.Context(), rack.Config{Dir: filepath.Join(dir, "rack"), Servers: specs, Prefix: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.rack.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.rack.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// begin starts Ingot; it ends with the test.
func (s *site) begin() {
	s.t.Helper()
	s.t.Cleanup(s.tellOnFailure)
	s.startUp()
	s.t.Cleanup(func() { s.stopUp(syscall.SIGTERM) })
}

// step runs a part of the scenario under its own name. When it fails, the rest makes no sense.
func (s *site) step(name string, f func(t *testing.T)) {
	s.t.Helper()
	whole := s.t
	defer func() { s.t = whole }()
	if !whole.Run(name, func(t *testing.T) {
		s.t = t
		f(t)
	}) {
		whole.FailNow()
	}
}

// host is the address of the switch, where Ingot serves machines.
func (s *site) host() string {
	s.t.Helper()
	link, err := net.InterfaceByName(s.rack.Bridge())
	if err != nil {
		s.t.Fatal(err)
	}
	addresses, err := link.Addrs()
	if err != nil || len(addresses) == 0 {
		s.t.Fatal("the switch has no address", err)
	}
	host, _, _ := strings.Cut(addresses[0].String(), "/")
	return host
}

// stateDir is the state folder of `ingot up`.
func (s *site) stateDir() string { return filepath.Join(s.dir, "state") }

func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("INGOT_BIN")
	if path == "" {
		t.Fatal("INGOT_BIN names no program: run `make e2e`")
	}
	return path
}

// startUp starts `ingot up` and waits until it serves.
func (s *site) startUp() {
	s.t.Helper()
	file, err := os.OpenFile(filepath.Join(s.dir, "up.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	s.upLog = file
	args := append([]string{"up", "--cluster-api=false", "--state-dir", s.stateDir()}, s.serves...)
	for _, a := range strings.Fields(rack.KernelArgs()) {
		args = append(args, "--agent-arg", a)
	}
	cmd := exec.Command(program(s.t), append(args, s.flags...)...)
	cmd.Stdout, cmd.Stderr = file, file
	if s.up, err = testapi.Spawn(cmd); err != nil {
		s.t.Fatal(err)
	}
	s.await(90*time.Second, "`ingot up` says that it is ready", func() bool {
		text, err := os.ReadFile(file.Name())
		return err == nil && strings.Count(string(text), "Ingot is ready") > strings.Count(string(text), "stopped; all data")
	})
	s.connect()
}

func (s *site) connect() {
	s.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(s.stateDir(), "admin.kubeconfig"))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.client, err = client.NewWithWatch(config, client.Options{Scheme: cli.Scheme()}); err != nil {
		s.t.Fatal(err)
	}
}

// stopUp ends `ingot up` with a signal and waits for its end.
func (s *site) stopUp(signal syscall.Signal) {
	_ = s.up.Signal(signal) // it may have ended already
	_ = s.up.Wait()
	_ = s.upLog.Close()
}

// tellOnFailure prints what a person would look at first.
func (s *site) tellOnFailure() {
	if !s.t.Failed() {
		return
	}
	s.t.Logf("up.log:\n%s", tail(filepath.Join(s.dir, "up.log"), 3000))
	s.t.Logf("control-plane.log:\n%s", tail(filepath.Join(s.stateDir(), "logs", "control-plane.log"), 4000))
	for _, server := range s.rack.Servers() {
		s.t.Logf("serial line of %s:\n%s", server.Identity().Name, tail(server.File(qemu.SerialFile), 4000))
	}
}

func tail(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-n):])
}

// await polls cond until it holds; what is told when the limit, times the slowness of emulation, has passed.
func (s *site) await(limit time.Duration, what string, cond func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit*time.Duration(s.rack.Slowness()))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("it did not come to pass: %s", what)
		case <-tick.C:
		}
	}
}

// awaitServer waits until the Server is as wanted, and returns it.
func (s *site) awaitServer(name, what string, limit time.Duration, cond func(*metal.Server) bool) *metal.Server {
	s.t.Helper()
	server := &metal.Server{}
	s.await(limit, name+": "+what, func() bool {
		fresh := &metal.Server{}
		if s.client.Get(s.t.Context(), client.ObjectKey{Name: name}, fresh) != nil {
			return false
		}
		server = fresh
		return cond(fresh)
	})
	return server
}

// inventories are all that there are.
func (s *site) inventories() []metal.ServerInventory {
	s.t.Helper()
	list := &metal.ServerInventoryList{}
	if err := s.client.List(s.t.Context(), list); err != nil {
		return nil // the API server may be restarting
	}
	return list.Items
}

func (s *site) inventory(name string) *metal.ServerInventory {
	s.t.Helper()
	i := &metal.ServerInventory{}
	if err := s.client.Get(s.t.Context(), client.ObjectKey{Name: name}, i); err != nil {
		s.t.Fatal(err)
	}
	return i
}

func (s *site) machine(name string) *rack.Server {
	s.t.Helper()
	m, ok := s.rack.Server(name)
	if !ok {
		s.t.Fatalf("the rack has no server %s", name)
	}
	return m
}

// declare puts a BMC in front of the server and writes both down, as an operator does before the first boot.
func (s *site) declare(name string) *fakebmc.BMC {
	s.t.Helper()
	m := s.machine(name)
	password := rand.Text()
	s.faults[name] = &fakebmc.Faults{}
	bmc, err := fakebmc.Start(s.t.Context(), fakebmc.Config{Machine: m, Username: "admin", Password: password, Faults: s.faults[name]})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { bmc.Close() })
	host, port, err := net.SplitHostPort(bmc.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	s.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-" + name},
		StringData: map[string]string{"username": "admin", "password": password},
	})
	s.create(&metal.Server{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: metal.ServerSpec{
			BMC:      &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: host, Port: int32(number), CredentialsSecret: "bmc-" + name, TLSFingerprint: bmc.Fingerprint()},
			Identity: &metal.Identity{MACs: m.Identity().MACs},
		},
	})
	return bmc
}

func (s *site) create(o client.Object) {
	s.t.Helper()
	if err := s.client.Create(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
}

// ingot runs a client command as a person would, and returns what it printed.
func (s *site) ingot(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("ingot %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// try is the same for a command that may fail.
func (s *site) try(args ...string) (string, error) {
	return run(s.t, append(args, "--kubeconfig", filepath.Join(s.stateDir(), "admin.kubeconfig"))...)
}

// ingotAlone runs a command that needs no API server.
func (s *site) ingotAlone(args ...string) {
	s.t.Helper()
	if out, err := run(s.t, args...); err != nil {
		s.t.Fatalf("ingot %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func run(t *testing.T, args ...string) (string, error) {
	out, err := exec.CommandContext(t.Context(), program(t), args...).CombinedOutput()
	return string(out), err
}

// serial is everything that the server's serial line has shown since the rack was made.
func (s *site) serial(name string) string {
	text, err := os.ReadFile(s.machine(name).File(qemu.SerialFile))
	if err != nil {
		return ""
	}
	return escape.ReplaceAllString(string(text), "")
}

// escape are terminal control sequences, with which firmware draws.
var escape = regexp.MustCompile("\x1b\\[[0-9;=?]*[A-Za-z]")

func discovered(s *metal.Server) bool { return s.Status.State == metal.StateDiscovered }

// plain is a UEFI server with one NVMe disk.
func plain(name string, last byte) rack.Spec {
	return rack.Spec{
		Name: name, UUID: fmt.Sprintf("c0ffee00-0000-4000-8000-0000000000%02x", last),
		Manufacturer: "Acme", Product: "Rack 1U", Serial: fmt.Sprintf("ACME%04d", last), CPUs: 1, MemoryMiB: 1024,
		Disks:    []rack.Disk{{Kind: qemu.NVMe, SizeBytes: 1 << 30, Serial: fmt.Sprintf("NV%04d", last)}},
		NICs:     []rack.NIC{{MAC: net.HardwareAddr{0x52, 0x54, 0, 0xe2, 0xe, last}, Model: qemu.VirtioNet}},
		Firmware: qemu.UEFI,
	}
}
