package talos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Names of what Generate makes in its folder.
const (
	ConfigName      = "controlplane.yaml"
	TalosconfigName = "talosconfig"
)

// Cluster is what a machine config is generated for.
type Cluster struct {
	// Host is the address of its control plane.
	Host string
	// Registry is where ServeImages listens, such as 192.0.2.1:5000.
	Registry string
	// Disk to install on; empty is talosctl's own guess, which no machine of the rack has.
	Disk string
	// Args are the installed kernel's own arguments.
	Args string
}

// leftOut are controllers of Kubernetes that have nothing to do in the guest, which runs no workload. Each costs lists and watches while the emulated API server starts,
// which is when it misses its health checks. What makes Nodes, their certificates and their end stays.
var leftOut = []string{
	"cronjob", "daemonset", "deployment", "device-taint-eviction", "disruption", "endpoints", "endpointslice", "endpointslice-mirroring", "ephemeral-volume",
	"horizontal-pod-autoscaler", "job", "legacy-serviceaccount-token-cleaner", "persistentvolume-attach-detach", "persistentvolume-binder", "persistentvolume-expander",
	"persistentvolume-protection", "persistentvolumeclaim-protection", "replicaset", "replicationcontroller", "resourceclaim", "resourcequota", "service-cidr",
	"statefulset", "ttl-after-finished", "validatingadmissionpolicy-status", "volumeattributesclass-protection",
}

// patch is what a machine config needs for the guest beside what talosctl generates.
const patch = `machine:
  time: {disabled: true}
  sysctls: {kernel.panic_on_oops: "1", kernel.panic: "10"} # defaults of Talos' own kernel, which kubelet insists on
  install:
    image: ghcr.io/siderolabs/installer:` + Version + `
    grubUseUKICmdline: false # the installer's image has no UKI
    extraKernelArgs: [-selinux, ARGS]
  registries:
    mirrors:
      "*": {endpoints: ["http://REGISTRY"]}
cluster:
  allowSchedulingOnControlPlanes: true
  apiServer: {auditPolicy: {apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None}]}} # a line for each request costs time, and nobody reads it
  discovery: {enabled: false}
  proxy: {disabled: true}
  coreDNS: {disabled: true}
  controllerManager: {extraArgs: {leader-elect: "false", controllers: "LEFT_OUT"}} # under emulation it loses its lease, and begins anew
  scheduler: {extraArgs: {leader-elect: "false"}}
  network:
    cni: {name: none}
`

// Patch is the patch for a machine config of the guest, with where ServeImages listens and the installed kernel's own arguments.
func (g Guest) Patch(registry, args string) []byte {
	var without []string
	for _, name := range leftOut {
		without = append(without, "-"+name+"-controller")
	}
	return []byte(strings.NewReplacer("ARGS", `"`+strings.Join(strings.Fields(args), `", "`)+`"`, "REGISTRY", registry, "LEFT_OUT", strings.Join(without, ",")).Replace(patch))
}

// Generate makes the machine config of a control plane, and the client's config, in a folder, with the guest's own talosctl.
func (g Guest) Generate(ctx context.Context, dir string, c Cluster) error {
	file := filepath.Join(dir, "patch.yaml")
	if err := os.WriteFile(file, g.Patch(c.Registry, c.Args), 0o600); err != nil {
		return fmt.Errorf("writing a patch: %w", err)
	}
	args := []string{"gen", "config", "lab", "https://" + c.Host + ":6443", "--with-docs=false", "--with-examples=false", "--config-patch", "@" + file, "--output", dir}
	if c.Disk != "" {
		args = append(args, "--install-disk", c.Disk)
	}
	cmd := exec.CommandContext(ctx, g.Program("talosctl"), args...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("talosctl gen config: %w: %s", err, said)
	}
	return nil
}

// ServeImages runs the guest's registry on an address until stop is called. What it says before it is ready goes to told.
func (g Guest) ServeImages(address string, told io.Writer) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, g.Program("registry"), "serve", "--layout", g.File(ImagesName), "--listen", address)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.Stderr = told
	stop = func() {
		cancel()
		_ = cmd.Wait()
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting the registry (build it: make talos SLICE=install): %w", err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "registry: ready") {
			return stop, nil
		}
		_, _ = fmt.Fprintln(told, lines.Text())
	}
	stop()
	return nil, errors.New("the registry ended")
}
