//go:build e2e_talos

package talos

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack"
)

// configAddress is where the guest fetches its config; configLine says so on its kernel line.
const (
	configAddress = "192.168.77.1:8080"
	configLine    = "talos.config=http://" + configAddress + "/config?uuid=${uuid}"
)

// TestConfig: Talos takes its config from the address on the kernel line, once, and answers with the cluster's own certificates, to nobody else.
// Its disk is seeded, so that no installer is needed.
func TestConfig(t *testing.T) {
	l := newLab(t, 2048, configLine, SeedDisk)
	l.serveConfig(l.generate())
	l.powerOn()
	l.answers()
	l.await("nvme0n1", "get", "systemdisk")
	l.refusesStrangers()
	l.fetchedOnce()
}

// patch is what a machine config needs here beside what talosctl generates.
const patch = `machine:
  time: {disabled: true}
  sysctls: {kernel.panic_on_oops: "1", kernel.panic: "10"} # defaults of Talos' own kernel, which kubelet insists on
  install:
    disk: /dev/nvme0n1
    image: ghcr.io/siderolabs/installer:` + Version + `
    grubUseUKICmdline: false # the installer's image has no UKI
    extraKernelArgs: [-selinux, ARGS]
  registries:
    mirrors:
      "*": {endpoints: ["http://` + registryAddress + `"]}
cluster:
  allowSchedulingOnControlPlanes: true
  discovery: {enabled: false}
  proxy: {disabled: true}
  coreDNS: {disabled: true}
  controllerManager: {extraArgs: {leader-elect: "false"}} # under emulation it loses its lease, and begins anew
  scheduler: {extraArgs: {leader-elect: "false"}}
  network:
    cni: {name: none}
`

// generate makes the machine config of a control plane with talosctl, and the client's config. It gives the first one's path.
func (l *lab) generate() string {
	l.t.Helper()
	dir := l.t.TempDir()
	args := `"` + strings.Join(strings.Fields(rack.KernelArgs()+" "+KernelArgs()), `", "`) + `"`
	file := filepath.Join(dir, "patch.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(patch, "ARGS", args, 1)), 0o600); err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.CommandContext(l.t.Context(), l.guest.Program("talosctl"), "gen", "config", "lab", "https://"+address.String()+":6443",
		"--with-docs=false", "--with-examples=false", "--config-patch", "@"+file, "--output", dir)
	if said, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, said)
	}
	l.config = filepath.Join(dir, "talosconfig")
	return filepath.Join(dir, "controlplane.yaml")
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
		l.fetched.Add(1)
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
