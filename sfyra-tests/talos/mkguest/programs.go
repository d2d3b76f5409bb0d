package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is a Go program that is built from one of the nested modules.
type program struct {
	name, slice string
	// module is the folder of the nested module, path the package below it or of its requirements.
	module, path string
	tags, link   string
	// cgo is for a program that is partly C.
	cgo bool
}

// What Talos' own build sets: its sockets' folder, since wgctrl is a fork that reads it from there.
const (
	talosTags = "tcell_minimal,grpcnotrace"
	talosLink = "-X golang.zx2c4.com/wireguard/ipc.socketDirectory=/system/wireguard-sock"
)

const (
	talosPath      = "github.com/siderolabs/talos"
	containerdPath = "github.com/containerd/containerd/v2"
	cniPath        = "github.com/containernetworking/plugins/plugins/"
	kubePath       = "k8s.io/kubernetes/cmd/"
)

// kubeLink is the version that kubelet and API server tell and compare; Kubernetes' own build sets it too.
const kubeLink = "-X k8s.io/component-base/version.gitVersion=v1.36.0 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"

var programs = []program{
	{name: "init", slice: "apid", module: "talos", path: talosPath + "/internal/app/init", tags: talosTags, link: talosLink},
	{name: "machined", slice: "apid", module: "talos", path: talosPath + "/internal/app/machined", tags: talosTags, link: talosLink},
	{name: "talosctl", slice: "apid", module: "talos", path: talosPath + "/cmd/talosctl", tags: "grpcnotrace"},
	{
		name: "containerd", slice: "apid", module: "containerd", path: containerdPath + "/cmd/containerd",
		tags: "no_btrfs,no_zfs,no_devmapper,netgo,osusergo", link: "-X " + containerdPath + "/version.Version=v2.2.3",
	},
	{name: "containerd-shim-runc-v2", slice: "apid", module: "containerd", path: containerdPath + "/cmd/containerd-shim-runc-v2", tags: "no_grpc"},
	{
		name: "runc", slice: "apid", module: "runc", path: "github.com/opencontainers/runc", tags: "seccomp,netgo,osusergo,urfave_cli_no_docs",
		link: "-linkmode=external -extldflags -static -X main.version=1.4.2", cgo: true,
	},
	{name: "installer", slice: "install", module: "talos", path: talosPath + "/cmd/installer", tags: talosTags, link: talosLink},
	{name: "registry", slice: "install", module: "registry", path: "."},
	{name: "bridge", slice: "kubernetes", module: "cni", path: cniPath + "main/bridge"},
	{name: "loopback", slice: "kubernetes", module: "cni", path: cniPath + "main/loopback"},
	{name: "host-local", slice: "kubernetes", module: "cni", path: cniPath + "ipam/host-local"},
	{name: "etcd", slice: "kubernetes", module: "etcd", path: "."},
	{name: "kubelet", slice: "kubernetes", module: "kube", path: kubePath + "kubelet", link: kubeLink},
	{name: "kube-apiserver", slice: "kubernetes", module: "kube", path: kubePath + "kube-apiserver", link: kubeLink},
	{name: "kube-controller-manager", slice: "kubernetes", module: "kube", path: kubePath + "kube-controller-manager", link: kubeLink},
	{name: "kube-scheduler", slice: "kubernetes", module: "kube", path: kubePath + "kube-scheduler", link: kubeLink},
}

// compile builds the programs of the slice, one after the other, and those of this module.
func (b *builder) compile(ctx context.Context) error {
	b.programs = map[string]string{}
	version, err := output(exec.CommandContext(ctx, "go", "env", "GOVERSION"))
	if err != nil {
		return err
	}
	b.inputs["go"] = version
	for _, p := range programs {
		if !b.has(p.slice) {
			continue
		}
		if b.programs[p.name], err = b.program(ctx, p, version); err != nil {
			return err
		}
	}
	return errors.Join(b.own(ctx, "preinit"), b.own(ctx, "pause"))
}

// program builds one, when its module, its flags or the compilers are others than before.
func (b *builder) program(ctx context.Context, p program, version string) (string, error) {
	depends := []string{fmt.Sprintf("%+v", p), version}
	files, err := filepath.Glob(filepath.Join(b.source, p.module, "*"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("%s has no module for %s", filepath.Join(b.source, p.module), p.name)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("reading module of %s: %w", p.name, err)
		}
		b.inputs["module:"+p.module+"/"+filepath.Base(file)] = "sha256:" + digest(data)
		depends = append(depends, filepath.Base(file), digest(data))
	}
	env := []string{"CGO_ENABLED=0"}
	if p.cgo {
		env = []string{"CGO_ENABLED=1"}
		host, err := b.host(ctx)
		if err != nil {
			return "", err
		}
		depends = append(depends, host)
	}
	return b.steps.make(p.name, depends, func(path string) error {
		b.steps.say("building " + p.name + " from " + p.path)
		return goBuild(ctx, filepath.Join(b.source, p.module), p, path, env)
	})
}

// host says what of this machine a program gets that is partly C: the one input that no lock names.
func (b *builder) host(ctx context.Context) (string, error) {
	text, err := output(exec.CommandContext(ctx, "dpkg-query", "-W", "gcc", "libc6-dev", "libseccomp-dev"))
	if err != nil {
		return "", fmt.Errorf("looking for the C compiler and libseccomp: %w", err)
	}
	b.inputs["host"] = strings.Join(strings.Fields(text), " ")
	return text, nil
}

// own builds a small program of this module, for which Go's own cache is good enough.
func (b *builder) own(ctx context.Context, name string) error {
	b.programs[name] = filepath.Join(b.cache, name)
	return goBuild(ctx, ".", program{path: "./" + filepath.ToSlash(filepath.Join(b.source, name))}, b.programs[name], []string{"CGO_ENABLED=0"})
}

// goBuild builds a static amd64 program without traces of where it was built.
func goBuild(ctx context.Context, dir string, p program, path string, env []string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("finding %s: %w", path, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-tags", p.tags, "-ldflags", strings.TrimSpace("-s -w "+p.link), "-o", path, p.path)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1"), env...)
	_, err = output(cmd)
	return err
}

// output gives what a command prints; the error has the end of what it complained about.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(stderr.String())
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[:min(2, len(cmd.Args))], " "), err, text[max(0, len(text)-2000):])
	}
	return strings.TrimSpace(string(out)), nil
}
