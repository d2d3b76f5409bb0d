package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ingot.dev/ingot/sfyra-tests/talos/tree"
)

// image is a container image that Talos pulls, as the registry serves it.
type image struct {
	// ref is its repository without a host, since one name space stands for all registries, and its tag.
	ref, slice string
	// program is what was built, place where Talos expects it.
	program, place string
	// list names files of Debian, empty for none.
	list string
}

// images are those of `talosctl image k8s-bundle` that a node needs to become Ready, and the installer. Their tags are what Talos asks for.
var images = []image{
	{ref: "siderolabs/installer:v1.13.0", slice: "install", program: "installer", place: "usr/bin/installer", list: "installer.list"},
	{ref: "siderolabs/kubelet:v1.36.0", slice: "kubernetes", program: "kubelet", place: "usr/local/bin/kubelet", list: "kubelet.list"},
	{ref: "etcd:v3.6.9", slice: "kubernetes", program: "etcd", place: "usr/local/bin/etcd"},
	{ref: "kube-apiserver:v1.36.0", slice: "kubernetes", program: "kube-apiserver", place: "usr/local/bin/kube-apiserver"},
	{ref: "kube-controller-manager:v1.36.0", slice: "kubernetes", program: "kube-controller-manager", place: "usr/local/bin/kube-controller-manager"},
	{ref: "kube-scheduler:v1.36.0", slice: "kubernetes", program: "kube-scheduler", place: "usr/local/bin/kube-scheduler"},
	{ref: "pause:3.10.1", slice: "kubernetes", program: "pause", place: "pause"},
}

// bootAssets are what the installer copies to the disk.
type bootAssets struct{ kernel, initramfs []byte }

// images makes the layouts of the slice's images. It gives their folders by name.
func (b *builder) images(ctx context.Context, assets bootAssets) (map[string]string, error) {
	layouts := map[string]string{}
	for _, i := range images {
		if !b.has(i.slice) {
			continue
		}
		t, err := b.image(i, assets)
		if err != nil {
			return nil, fmt.Errorf("filling image %s: %w", i.ref, err)
		}
		if layouts[i.program], err = b.pack(ctx, i, t); err != nil {
			return nil, err
		}
	}
	return layouts, nil
}

// image puts the root file system of an image together.
func (b *builder) image(i image, assets bootAssets) (*tree.Tree, error) {
	var t tree.Tree
	mergeFolders(&t)
	t.Sticky("tmp")
	t.Dir("run", "var")
	t.Link("var/run", "/run") // kubelet looks for its sockets there
	t.File("etc/passwd", []byte("root:x:0:0:root:/root:/sbin/nologin\n"))
	t.File("etc/group", []byte("root:x:0:\n"))
	program, err := os.ReadFile(b.programs[i.program])
	if err != nil {
		return nil, fmt.Errorf("reading what was built: %w", err)
	}
	t.Program(i.place, program)
	if i.list != "" {
		if err := b.copyList(&t, i.list); err != nil {
			return nil, err
		}
	}
	if i.program == "installer" {
		t.File("usr/install/amd64/vmlinuz", assets.kernel)
		t.File("usr/install/amd64/initramfs.xz", assets.initramfs) // its name in every release, however it is packed
		return &t, b.xfs(&t)
	}
	return &t, nil
}

// pack hands the tree to the registry program.
func (b *builder) pack(ctx context.Context, i image, t *tree.Tree) (string, error) {
	sum := sha256.New()
	if err := t.WriteTar(sum); err != nil {
		return "", err
	}
	depends := []string{hex.EncodeToString(sum.Sum(nil)), fmt.Sprintf("%+v", i), filepath.Base(b.programs["registry"])}
	return b.steps.make("image-"+i.program, depends, func(path string) error {
		args := []string{"pack", "--layout", path, "--ref", i.ref, "--entrypoint", "/" + i.place}
		return pipe(t, exec.CommandContext(ctx, b.programs["registry"], args...))
	})
}

// pipe gives a command the tree as a tar archive.
func pipe(t *tree.Tree, cmd *exec.Cmd) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", filepath.Base(cmd.Path), err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", filepath.Base(cmd.Path), err)
	}
	if err := errors.Join(t.WriteTar(in), in.Close(), cmd.Wait()); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(said.String()))
	}
	return nil
}
