//go:build e2e_talos

package talos

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/rack"
)

// configAddress is where the guest fetches its config; configLine says so on its kernel line.
const (
	configAddress = "192.168.77.1:8080"
	configLine    = "talos.config=http://" + configAddress + "/config?uuid=${uuid}"
)

// TestConfig: Talos takes its config from the address on the kernel line, once, and answers with the cluster's own certificates, to nobody else. It tells
// Ingot's receivers how it fares: they make of it what people may see. Its disk is seeded, so that no installer is needed.
func TestConfig(t *testing.T) {
	c := links(t)
	l := newLab(t, 2048, line(c), SeedDisk)
	l.serveConfig(l.adds(l.generate(), c))
	heard := l.hear(func() bool { return l.fetched.Load() > 0 })
	l.powerOn()
	l.answers()
	heard.saidAll(l, c)
	l.await("nvme0n1", "get", "systemdisk")
	l.refusesStrangers()
	l.fetchedOnce()
}

// TestConfigDoubted: a Talos that cannot load its config tells so, and quotes it on its console. Ingot's receivers make a doubt of it, and show none of that.
func TestConfigDoubted(t *testing.T) {
	const key, canary = "unheard", "canary"
	c := links(t)
	l := newLab(t, 2048, line(c)+" talos.logging.kernel="+c.KernelLogURL(), SeedDisk)
	file := filepath.Join(t.TempDir(), ConfigName)
	if err := os.WriteFile(file, []byte("version: v1alpha1\nmachine:\n  type: worker\n  "+key+": "+canary+"\ncluster: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.serveConfig(file)
	heard := l.hear(func() bool { return l.fetched.Load() > 0 })
	l.powerOn()
	heard.await(l, metal.StageTalosConfigFailed)
	heard.await(l, "could not load its machine config. Nothing proves that")
	heard.await(l, "a line about its config is not shown")
	if said := l.console(); !strings.Contains(said, key) && !strings.Contains(said, canary) { // the emulated serial port now and then doubles a character
		t.Error("control: Talos quotes nothing of the config on its console")
	}
	if all := strings.Join(heard.all(), "\n"); strings.Contains(all, key) || strings.Contains(all, canary) {
		t.Errorf("the config is quoted in\n%s", all)
	}
}

// generate makes the machine config of a control plane, and the client's config. It gives the first one's path.
func (l *lab) generate() string {
	l.t.Helper()
	dir := l.t.TempDir()
	c := Cluster{Host: address.String(), Registry: registryAddress, Disk: "/dev/nvme0n1", Args: rack.KernelArgs() + " " + KernelArgs()}
	if err := l.guest.Generate(l.t.Context(), dir, c); err != nil {
		l.t.Fatal(err)
	}
	l.config = filepath.Join(dir, TalosconfigName)
	return filepath.Join(dir, ConfigName)
}

// serveConfig hands the file out and counts how often.
func (l *lab) serveConfig(file string) {
	l.t.Helper()
	listener, err := net.Listen("tcp", configAddress)
	if err != nil {
		l.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.t.Logf("%5.1f s after power-on: %s fetches %s", time.Since(l.begin).Seconds(), r.RemoteAddr, r.URL)
		if l.fetched.Add(1) == 1 {
			l.lap(PhaseConfig)
		}
		http.ServeFile(w, r, file)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	l.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// fetchedOnce: what is installed has its config on its disk, though Talos keeps its address on the kernel line.
func (l *lab) fetchedOnce() {
	l.t.Helper()
	if n := l.fetched.Load(); n != 1 {
		l.t.Errorf("the config was fetched %d times, want once", n)
	}
}

// refusesStrangers asks without a certificate of the cluster.
func (l *lab) refusesStrangers() {
	l.t.Helper()
	config := l.config
	defer func() { l.config = config }()
	l.config = ""
	if said, err := l.call("get", "systemdisk"); err == nil || strings.Contains(said, "nvme0n1") {
		l.t.Errorf("without a certificate the server says %s", said)
	}
}
