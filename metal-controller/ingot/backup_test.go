package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// ingot runs a command to its end and returns its exit code and what it said.
func ingot(t testing.TB, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	out, _ := cmd.CombinedOutput() // the exit code tells
	return cmd.ProcessState.ExitCode(), string(out)
}

// must runs a command that has to succeed.
func must(t testing.TB, args ...string) string {
	t.Helper()
	code, said := ingot(t, args...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, said)
	}
	return said
}

// fails runs a command that has to fail with words in its error.
func fails(t testing.TB, args []string, parts ...string) {
	t.Helper()
	code, said := ingot(t, args...)
	if code == 0 {
		t.Errorf("%v: it worked:\n%s", args, said)
	}
	want(t, said, append(parts, "error: ")...)
}

func typed(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: cli.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var at = metav1.NewTime(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))

// fill puts a Server with a record and a Secret into a control plane.
func fill(t testing.TB, p *testapi.Process) {
	t.Helper()
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Spec: metal.ServerSpec{Accepted: true, Record: &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: at, RequestID: "r1", Level: metal.WipeClear, Disks: []metal.DiskID{{WWID: "eui.01", Serial: "NV1"}}},
		ManagedBy:  &metal.ManagedBy{Installation: "i1", Epoch: 1},
	}}}
	if err := typed(t, p.ControllerConfig).Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	plain := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s2"}}
	if err := typed(t, p.AdminConfig).Create(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	if _, err := clientset(t, p.AdminConfig).CoreV1().Secrets("default").Create(t.Context(), secret("s", "sealed"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func hasConfigMap(t testing.TB, p *testapi.Process, name string) bool {
	t.Helper()
	_, err := clientset(t, p.AdminConfig).CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{})
	return err == nil
}

func addConfigMap(t testing.TB, p *testapi.Process, name string) {
	t.Helper()
	if _, err := clientset(t, p.AdminConfig).CoreV1().ConfigMaps("default").Create(t.Context(), configMap(name, "x"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// checkRestored looks for what fill made, and for the marks of a restore.
func checkRestored(t testing.TB, p *testapi.Process) {
	t.Helper()
	got, err := clientset(t, p.AdminConfig).CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
	if err != nil || string(got.Data["value"]) != "sealed" {
		t.Errorf("the Secret is %q, %v", got.Data["value"], err)
	}
	list := &metal.ServerList{}
	if err := typed(t, p.AdminConfig).List(t.Context(), list); err != nil || len(list.Items) != 2 {
		t.Fatalf("%d servers, %v", len(list.Items), err)
	}
	for _, s := range list.Items {
		if r := s.Spec.Record; r == nil || r.Unverified == nil || r.Unverified.Reason != reasons.Restored || r.Unverified.Since.IsZero() {
			t.Errorf("%s is not Unverified: %+v", s.Name, r)
		}
	}
	if r := list.Items[0].Spec.Record; r == nil || r.Acceptance == nil || r.Acceptance.RequestID != "r1" || r.ManagedBy == nil || r.ManagedBy.Installation != "i1" {
		t.Errorf("the record of %s is lost: %+v", list.Items[0].Name, r)
	}
}

func TestBackupAndRestore(t *testing.T) {
	dir := stateDir(t)
	running, stopped := filepath.Join(filepath.Dir(dir), "running.tar.gz"), filepath.Join(filepath.Dir(dir), "stopped.tar.gz")
	first := start(t, dir)
	fill(t, first)
	want(t, must(t, "backup", running, "--state-dir", dir), "keys and passwords")
	if info, err := os.Stat(running); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	addConfigMap(t, first, "later") // is in the second backup alone
	fails(t, []string{"backup", running, "--state-dir", dir}, "exists", "--force")
	stop(t, first, syscall.SIGTERM)
	before := snapshot(t, filepath.Join(dir, "pki"))
	must(t, "backup", stopped, "--state-dir", dir)
	if snapshot(t, filepath.Join(dir, "pki")) != before {
		t.Error("a backup changed the keys")
	}
	must(t, "backup", stopped, "--state-dir", dir, "--force")

	for file, later := range map[string]bool{running: false, stopped: true} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			to := stateDir(t)
			want(t, must(t, "restore", file, "--state-dir", to), "Its 2 servers are Unverified", "ingot up --state-dir "+to)
			p := start(t, to)
			checkRestored(t, p)
			if hasConfigMap(t, p, "later") != later {
				t.Errorf("what was made after the backup is there: %v", !later)
			}
			addConfigMap(t, p, "after-the-restore")
			stop(t, p, syscall.SIGKILL)
			again := start(t, to) // the new log of etcd is replayed on the old data
			checkRestored(t, again)
			if !hasConfigMap(t, again, "after-the-restore") {
				t.Error("a write after the restore is lost")
			}
		})
	}
}

// TestBackupOfALongPath: its sockets are elsewhere.
func TestBackupOfALongPath(t *testing.T) {
	dir := filepath.Join(stateDir(t), strings.Repeat("a-long-name/", 12))
	p := start(t, dir)
	must(t, "backup", filepath.Join(t.TempDir(), "b.tar.gz"), "--state-dir", dir)
	p.Kill() // what it left behind names a socket that nobody serves
	must(t, "backup", filepath.Join(t.TempDir(), "b.tar.gz"), "--state-dir", dir)
}

// TestRestoreNeedsAnEmptyFolder: one that holds something is left alone, or moved aside whole.
func TestRestoreNeedsAnEmptyFolder(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(filepath.Dir(dir), "b.tar.gz")
	p := start(t, dir)
	fill(t, p)
	must(t, "backup", file, "--state-dir", dir)
	fails(t, []string{"restore", file, "--state-dir", dir}, dir, "--force")
	fails(t, []string{"restore", file, "--state-dir", dir, "--force"}, "in use", "PID")
	addConfigMap(t, p, "still-running")
	stop(t, p, syscall.SIGTERM)
	before := snapshot(t, dir)
	want(t, must(t, "restore", file, "--state-dir", dir, "--force"), "moved the state folder", ".before-restore-")
	aside, err := filepath.Glob(dir + ".before-restore-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("%v, %v", aside, err)
	}
	if data, err := os.ReadFile(filepath.Join(aside[0], "pki", "encryption.yaml")); err != nil || !strings.Contains(before, string(data)) {
		t.Errorf("what was moved aside changed: %v", err)
	}
	checkRestored(t, start(t, dir))

	foreign := stateDir(t)
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("words"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"restore", file, "--state-dir", foreign, "--force"}, "thesis.txt")
	fails(t, []string{"backup", file + "2", "--state-dir", foreign}, "no state of Ingot")
}

// TestRestoreRefusesDamage: nothing is made, not even the folder.
func TestRestoreRefusesDamage(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(filepath.Dir(dir), "b.tar.gz")
	p := start(t, dir)
	fill(t, p)
	must(t, "backup", file, "--state-dir", dir)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	to := stateDir(t)
	for name, change := range map[string]func([]byte) []byte{
		"a changed byte":     func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"the last byte":      func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut in the middle":  func(b []byte) []byte { return b[:len(b)/2] },
		"cut by one byte":    func(b []byte) []byte { return b[:len(b)-1] },
		"more than one file": func(b []byte) []byte { return append(b, b...) },
		"nothing":            func([]byte) []byte { return nil },
	} {
		bad := filepath.Join(filepath.Dir(dir), "bad.tar.gz")
		if err := os.WriteFile(bad, change(append([]byte{}, whole...)), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		fails(t, []string{"restore", bad, "--state-dir", to}, "bad.tar.gz", "nothing was restored")
		if _, err := os.Stat(to); !os.IsNotExist(err) {
			t.Errorf("%s: the folder was made: %v", name, err)
		}
	}
	must(t, "restore", file, "--state-dir", to) // the control
}

// TestRestoreKilledAnywhere: until a restore has finished, `ingot up` does not start; the same command brings it to its end.
func TestRestoreKilledAnywhere(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(filepath.Dir(dir), "b.tar.gz")
	p := start(t, dir)
	fill(t, p)
	must(t, "backup", file, "--state-dir", dir)
	p.Kill()
	for _, marker := range []string{"restoring", "etcd/member/snap/db", "admin.kubeconfig"} {
		t.Run(strings.ReplaceAll(marker, "/", "_"), func(t *testing.T) {
			to := stateDir(t)
			killed, err := testapi.Spawn(exec.Command(binary(t), "restore", file, "--state-dir", to))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(killed.Kill)
			waitFile(t, killed, filepath.Join(to, marker))
			killed.Kill()
			before := snapshot(t, to)
			want(t, refused(t, nil, to, "--api-port", "0"), "has not finished", "ingot restore "+file+" --state-dir "+to)
			fails(t, []string{"backup", file + "2", "--state-dir", to}, "has not finished")
			if snapshot(t, to) != before {
				t.Error("a refusal changed the folder")
			}
			must(t, "restore", file, "--state-dir", to)
			next := start(t, to)
			checkRestored(t, next)
			next.Kill()
		})
	}
}

// whole runs `ingot up` with its controllers, which testapi's processes lack.
func whole(t *testing.T, dir string) (*testapi.Process, client.Client) {
	t.Helper()
	ports := freePorts(t, 3)
	p, err := testapi.Spawn(exec.Command(binary(t), "up", "--state-dir", dir, "--api-port", "0", "--metrics-address", "", "--cluster-api=false",
		"--no-talos-signals", "--agent-port", ports[0], "--config-port", ports[1], "--plain-config-port", ports[2]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	until(t, p, func() bool { return strings.Contains(p.Stderr(), "Ingot is ready") })
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	return p, typed(t, config)
}

// freePorts are ports that nobody has now.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // when all are drawn, so that they differ
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

// until waits for something to be so while the process runs.
func until(t *testing.T, p *testapi.Process, so func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(2*time.Minute), time.NewTicker(50*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !so() {
		select {
		case <-p.Ended():
			t.Fatalf("it ended\n%s", p.Stderr())
		case <-limit.C:
			t.Fatalf("it did not come to be\n%s", p.Stderr())
		case <-tick.C:
		}
	}
}

// TestRestoredServersGetNoOrders: in a backup are a fresh yes and a fresh power request of a machine that runs. Restored, they come to nothing, and
// the machine gets no order. The control is the same data, not restored: the machine is switched.
func TestRestoredServersGetNoOrders(t *testing.T) {
	m := memory.New(machine.Identity{})
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	orders := len(m.Orders())
	bmc, err := fakebmc.Start(context.Background(), fakebmc.Config{Machine: m, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bmc.Close() })

	dir := stateDir(t)
	file := filepath.Join(filepath.Dir(dir), "b.tar.gz")
	p := start(t, dir)
	declareFor(t, typed(t, p.AdminConfig), bmc)
	stop(t, p, syscall.SIGTERM)
	must(t, "backup", file, "--state-dir", dir)
	to := stateDir(t)
	must(t, "restore", file, "--state-dir", to)

	restored, c := whole(t, to)
	s := &metal.Server{}
	until(t, restored, func() bool {
		if err := c.Get(t.Context(), client.ObjectKey{Name: "s1"}, s); err != nil {
			t.Fatal(err)
		}
		r := s.Spec.Record
		read := s.Status.Power != nil && s.Status.Power.State == metal.PowerOn && s.Status.ObservedGeneration == s.Generation
		return read && r != nil && r.AcceptRequest == "yes" && r.ManagedBy != nil // it was looked at, with a reading of the BMC
	})
	if r := s.Spec.Record; s.Status.State != metal.StateUnverified || r.Unverified == nil || r.Boot != nil || r.Wipe != nil || r.Power == nil || r.Power.Step != metal.PowerExpired {
		t.Errorf("restored: %s, %+v", s.Status.State, r)
	}
	stop(t, restored, syscall.SIGTERM)
	if got := m.Orders()[orders:]; len(got) > 0 {
		t.Errorf("restored: the machine got orders: %v", got)
	}

	control, _ := whole(t, dir)
	until(t, control, func() bool { return len(m.Orders()) > orders })
}

// declareFor writes a server down with its BMC, a yes and a power request of just now.
func declareFor(t *testing.T, c client.Client, bmc *fakebmc.BMC) {
	t.Helper()
	host, text, err := net.SplitHostPort(bmc.Addr())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	now := metav1.Now()
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-s1"}, StringData: map[string]string{"username": "u", "password": "p"}},
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Spec: metal.ServerSpec{
			Accepted:      true,
			BMC:           &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: host, Port: int32(port), CredentialsSecret: "bmc-s1", TLSFingerprint: bmc.Fingerprint()},
			AcceptRequest: &metal.AcceptRequest{ID: "yes", RequestedAt: now},
			PowerRequest:  &metal.PowerRequest{ID: "cycle", Action: metal.PowerActionCycle, RequestedAt: now},
		}},
	} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}
