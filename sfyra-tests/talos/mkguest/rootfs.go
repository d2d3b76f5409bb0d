package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ingot.dev/ingot/boot-assets/initramfs"
	"ingot.dev/ingot/sfyra-tests/talos/tree"
)

// rootfs makes the root file system that Talos' init mounts, as Talos' own recipe (its Dockerfile) does, with less in it.
func (b *builder) rootfs(ctx context.Context, parts initramfs.Parts) (string, error) {
	var t tree.Tree
	mergeFolders(&t)
	for _, fill := range []func(context.Context, *tree.Tree) error{b.userland, b.ownPrograms, b.talosFiles, b.network} {
		if err := fill(ctx, &t); err != nil {
			return "", fmt.Errorf("filling the root file system: %w", err)
		}
	}
	places(&t)
	moduleLists(&t, parts)
	return b.squash(ctx, &t)
}

// mergeFolders gives a tree the folders of Talos, where all programs are in one.
func mergeFolders(t *tree.Tree) {
	for from, to := range map[string]string{"bin": "usr/bin", "sbin": "usr/bin", "usr/sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib", "usr/lib64": "usr/lib"} {
		t.Merge(from, to)
	}
}

// userland takes what rootfs.list names out of Debian's packages.
func (b *builder) userland(_ context.Context, t *tree.Tree) error {
	if err := b.copyList(t, "rootfs.list"); err != nil {
		return err
	}
	return b.xfs(t)
}

// xfs gives mkfs.xfs its options under the name that Talos asks for.
func (b *builder) xfs(t *tree.Tree) error {
	options, err := b.list("xfs.conf")
	t.File("usr/share/xfsprogs/mkfs/lts_6.18.conf", []byte(options))
	return err
}

// copyList takes what a list names out of Debian's packages.
func (b *builder) copyList(t *tree.Tree, name string) (err error) {
	list, err := b.list(name)
	if err != nil {
		return err
	}
	var from tree.Sources
	for _, p := range b.packages {
		if isKernel(p) {
			continue
		}
		files, closeFiles, openErr := b.debs.Open(p)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, closeFiles()) }()
		from = append(from, files)
	}
	if err := t.Copy(list, from); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// ownPrograms are those that were built. machined is one program under several names.
func (b *builder) ownPrograms(_ context.Context, t *tree.Tree) error {
	for name, place := range map[string]string{
		"machined": "usr/bin/init", "containerd": "usr/bin/containerd", "containerd-shim-runc-v2": "usr/bin/containerd-shim-runc-v2", "runc": "usr/bin/runc",
		"bridge": "opt/cni/bin/bridge", "loopback": "opt/cni/bin/loopback", "host-local": "opt/cni/bin/host-local",
	} {
		path, built := b.programs[name]
		if !built {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading what was built: %w", err)
		}
		t.Program(place, data)
	}
	for _, name := range []string{"poweroff", "shutdown", "reboot", "dashboard"} {
		t.Link("usr/bin/"+name, "init")
	}
	return nil
}

// talosFiles are the files of Talos' module that its recipe copies.
func (b *builder) talosFiles(ctx context.Context, t *tree.Tree) error {
	talos, err := b.module(ctx, talosPath)
	if err != nil {
		return err
	}
	machinery, err := b.module(ctx, talosPath+"/pkg/machinery")
	if err != nil {
		return err
	}
	for place, file := range map[string]string{
		"usr/share/zoneinfo/Etc/UTC":              talos + "/hack/zoneinfo/Etc/UTC",
		"etc/nfsmount.conf":                       talos + "/hack/nfsmount.conf",
		"etc/containerd/config.toml":              talos + "/hack/containerd.toml",
		"etc/cri/containerd.toml":                 talos + "/hack/cri-containerd.toml",
		"etc/cri/conf.d/00-base.part":             talos + "/hack/cri-plugin.part",
		"usr/lib/systemd/network/99-default.link": talos + "/hack/udevd/99-default.link",
		"usr/lib/udev/rules.d/40-vm-hotadd.rules": talos + "/hack/udevd/40-vm-hotadd.rules",
		"etc/ssl/certs/ca-certificates.crt":       talos + "/internal/app/machined/pkg/controllers/secrets/data/ca-certificates",
		"etc/os-release":                          machinery + "/version/os-release",
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a file of Talos: %w", err)
		}
		t.File(place, data)
	}
	return nil
}

// network gives pods a network of their node alone, so that a node becomes Ready: Talos shows these folders through its overlays.
func (b *builder) network(_ context.Context, t *tree.Tree) error {
	if !b.has("kubernetes") {
		return nil
	}
	list, err := b.list("cni.conflist")
	t.File("etc/cni/net.d/10-guest.conflist", []byte(list))
	return err
}

// module is the folder of a module that the nested module of Talos pins.
func (b *builder) module(ctx context.Context, path string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	cmd.Dir = filepath.Join(b.source, "talos")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	text, err := output(cmd)
	if err != nil {
		return "", err
	}
	var m struct{ Dir, Version string }
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return "", fmt.Errorf("reading where %s is: %w", path, err)
	}
	b.inputs["module:"+path] = m.Version
	return m.Dir, nil
}

// places are folders, empty files and links that machined mounts over or looks for.
func places(t *tree.Tree) {
	t.Dir("boot/EFI", "dev", "home", "mnt", "opt/containerd/bin", "opt/containerd/lib", "proc", "root", "run", "sys", "system", "tmp", "var", ".extra",
		"etc/cni/net.d", "etc/cri/conf.d/hosts", "etc/kubernetes/manifests", "usr/etc", "usr/lib/firmware", "usr/lib/modules", "usr/libexec/kubernetes",
		"usr/local/bin", "usr/local/lib/kubelet/credentialproviders", "usr/local/share", "usr/share/spdx")
	t.Empty("etc/extensions.yaml", "etc/resolv.conf", "etc/hosts", "etc/machine-id", "etc/cri/conf.d/cri.toml", "etc/cri/conf.d/01-registries.part",
		"etc/cri/conf.d/20-customization.part", "etc/cri/conf.d/base-spec.json", "etc/selinux/targeted/contexts/files/file_contexts",
		"etc/iscsi/initiatorname.iscsi", "etc/nvme/hostid", "etc/nvme/hostnqn")
	t.Sticky("tmp")
	t.Link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
	t.Link("etc/ssl/certs/ca-certificates", "ca-certificates.crt")
	for _, name := range []string{"etc/pki", "etc/ca-certificates", "usr/share/ca-certificates", "usr/local/share/ca-certificates"} {
		t.Link(name, "/etc/ssl")
	}
}

// moduleLists tell machined and modprobe that all modules which preinit loads are built in: they ask for some by name.
func moduleLists(t *tree.Tree, parts initramfs.Parts) {
	var names strings.Builder
	for _, m := range parts.Order {
		fmt.Fprintf(&names, "kernel/preinit/%s.ko\n", m.Name)
	}
	dir := "usr/lib/modules/" + parts.Kernel
	t.File(dir+"/modules.builtin", []byte(names.String()))
	t.Empty(dir+"/modules.dep", dir+"/modules.alias")
}

// squashOptions: zstd of a middle level and larger blocks than the default, since the image goes over an emulated network at each boot.
var squashOptions = strings.Fields("-tar -noappend -comp zstd -Xcompression-level 9 -b 256K -no-xattrs -root-mode 755 -root-uid 0 -root-gid 0 -all-time 1700000000 -mkfs-time 1700000000 -quiet -no-progress")

// squash hands the tree to mksquashfs.
func (b *builder) squash(ctx context.Context, t *tree.Tree) (string, error) {
	sum := sha256.New()
	if err := t.WriteTar(sum); err != nil {
		return "", err
	}
	version, err := output(exec.CommandContext(ctx, "mksquashfs", "-version"))
	if err != nil {
		return "", fmt.Errorf("looking for squashfs-tools: %w", err)
	}
	version, _, _ = strings.Cut(version, "\n")
	b.inputs["mksquashfs"] = version
	depends := append([]string{hex.EncodeToString(sum.Sum(nil)), version}, squashOptions...)
	return b.steps.make("rootfs.sqsh", depends, func(path string) error {
		return pipe(t, exec.CommandContext(ctx, "mksquashfs", append([]string{"-", path}, squashOptions...)...))
	})
}
