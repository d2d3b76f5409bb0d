//go:build e2e_talos

package talos

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Addresses of the lab's services, on the switch.
const (
	configAddress   = "192.168.77.1:8080"
	registryAddress = "192.168.77.1:5000"
)

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
  network:
    cni: {name: none}
`

// generate makes the machine config of a control plane with talosctl, and the client's config. It gives the first one's path.
func (l *lab) generate() string {
	l.t.Helper()
	dir := l.t.TempDir()
	args := strings.Join(strings.Fields(rack.KernelArgs()+" "+KernelArgs()), ", ")
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
	server := &http.Server{Addr: configAddress, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.t.Logf("%5.1f s after power-on: %s fetches %s", time.Since(l.begin).Seconds(), r.RemoteAddr, r.URL)
		l.fetched.Add(1)
		http.ServeFile(w, r, file)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ListenAndServe()
	}()
	l.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// serveImages runs the guest's registry until the test ends.
func (l *lab) serveImages() {
	l.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, l.guest.Program("registry"), "serve", "--layout", l.guest.File(ImagesName), "--listen", registryAddress)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("starting the registry (build it: make talos SLICE=install): %v", err)
	}
	l.t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "registry: ready") {
			return
		}
		l.t.Log(lines.Text())
	}
	l.t.Fatal("the registry ended")
}

// shown waits until the console has a text so many times.
func (l *lab) shown(text string, times int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for strings.Count(l.console(), text) < times {
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("the console did not show %q %d times", text, times)
		}
	}
	l.t.Logf("%5.1f s after power-on: the console shows %q", time.Since(l.begin).Seconds(), text)
}

// install boots the guest, which fetches its config, installs itself and starts what it installed.
func install(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, 3584, "talos.config=http://"+configAddress+"/config?uuid=${uuid}")
	l.serveConfig(l.generate())
	l.serveImages()
	l.powerOn()
	l.shown("Linux version", 1)
	l.shown("Linux version", 2) // kexec: no firmware in between
	said := l.await("Server:", "version")
	if _, server, _ := strings.Cut(said, "Server:"); !strings.Contains(server, Version+"\n") {
		t.Errorf("the server's version is not %s: %s", Version, said)
	}
	l.fetchedOnce()
	return l
}

// fetchedOnce: what is installed has its config on its disk, though Talos keeps its address on the kernel line.
func (l *lab) fetchedOnce() {
	l.t.Helper()
	if n := l.fetched.Load(); n != 1 {
		l.t.Errorf("the config was fetched %d times, want once", n)
	}
}

// TestInstall: Talos takes a config, installs itself from a registry by its real installer, and what it installed answers with the cluster's own
// certificates, to nobody else; after a cut of power too, when the firmware starts it from the disk.
func TestInstall(t *testing.T) {
	l := install(t)
	l.await("nvme0n1", "get", "systemdisk")
	l.refusesStrangers()
	l.restart()
	l.shown("Linux version", 3)
	l.await("nvme0n1", "get", "systemdisk")
	const byLoader = "Command line: BOOT_IMAGE=" // GRUB puts that in front of the line; QEMU and kexec do not
	if console := l.console(); strings.Count(console, byLoader) != 1 || strings.LastIndex(console, byLoader) < strings.LastIndex(console, "Linux version") {
		t.Error("the last start was not by the boot loader on the disk")
	}
	l.fetchedOnce()
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

// restart cuts the power and lets the firmware start the disk.
func (l *lab) restart() {
	l.t.Helper()
	if err := l.server.ForceOff(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	if err := l.server.SetBootOverride(l.t.Context(), machine.BootOverride{Target: machine.TargetHdd}); err != nil {
		l.t.Fatal(err)
	}
	l.powerOn()
}
