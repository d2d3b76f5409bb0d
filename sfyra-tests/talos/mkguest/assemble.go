package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot.dev/ingot/boot-assets/initramfs"
	"ingot.dev/ingot/boot-assets/initramfs/cpio"
	"ingot.dev/ingot/boot-assets/initramfs/debian"
	"ingot.dev/ingot/sfyra-tests/talos"
)

// assemble writes the guest's folder.
func (b *builder) assemble(ctx context.Context, parts initramfs.Parts, rootfs string) error {
	image, err := b.initramfs(parts, rootfs)
	if err != nil {
		return err
	}
	layouts, err := b.images(ctx, bootAssets{kernel: parts.Vmlinuz, initramfs: image})
	if err != nil {
		return err
	}
	out := folder{dir: b.out, manifest: talos.Manifest{Talos: talos.Version, Kernel: parts.Kernel, Arch: "amd64", Slice: b.slice, Files: map[string]talos.File{}, Inputs: b.inputs}}
	out.write(talos.KernelName, parts.Vmlinuz, 0o644)
	out.write(talos.InitramfsName, image, 0o644)
	for _, name := range []string{"talosctl", "registry"} {
		if path, built := b.programs[name]; built {
			out.copy("bin/"+name, path)
		}
	}
	out.try(func() error { return os.RemoveAll(filepath.Join(b.out, talos.ImagesName)) })
	for name, layout := range layouts {
		out.copyLayout(talos.ImagesName+"/"+name, layout)
	}
	return out.close()
}

// kernel collects Debian's kernel and the modules that Talos needs.
func (b *builder) kernel(ctx context.Context) (initramfs.Parts, error) {
	text, err := b.list("modules.list")
	if err != nil {
		return initramfs.Parts{}, err
	}
	lists, err := initramfs.ReadModules(text)
	if err != nil {
		return initramfs.Parts{}, err
	}
	kernels := slices.DeleteFunc(slices.Clone(b.packages), func(p debian.Package) bool { return !isKernel(p) })
	parts, err := initramfs.LoadLocked(ctx, b.debs, kernels, lists)
	if err != nil {
		return parts, err
	}
	return parts, initramfs.Check(lists, parts)
}

// initramfs is preinit and the modules, packed, behind the root file system, which is packed in itself already: the kernel unpacks one archive after
// the other (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
func (b *builder) initramfs(parts initramfs.Parts, rootfs string) ([]byte, error) {
	var squashed, init, preinit []byte
	for path, into := range map[string]*[]byte{rootfs: &squashed, b.programs["init"]: &init, b.programs["preinit"]: &preinit} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading what was built: %w", err)
		}
		*into = data
	}
	parts.Programs = map[string][]byte{"talos-init": init}
	packed, err := initramfs.Image(preinit, parts)
	if err != nil {
		return nil, err
	}
	var first cpio.Archive
	first.Add(cpio.Entry{Name: "rootfs.sqsh", Mode: cpio.ModeFile, Data: squashed})
	return slices.Concat(first.Close(), packed), nil
}

func isKernel(p debian.Package) bool { return strings.HasPrefix(p.Name, "linux-image-") }

// folder is the guest's folder while it is written. The first problem stays; close tells it.
type folder struct {
	dir      string
	manifest talos.Manifest
	err      error
}

// write puts a file there, whole or not at all.
func (f *folder) write(name string, data []byte, mode os.FileMode) {
	path := filepath.Join(f.dir, name)
	part := path + ".part"
	f.try(func() error { return os.MkdirAll(filepath.Dir(path), 0o755) })
	f.try(func() error { return os.WriteFile(part, data, mode) })
	f.try(func() error { return os.Rename(part, path) })
	f.manifest.Files[name] = describe(data)
}

// copy puts a program there.
func (f *folder) copy(name, from string) {
	data, err := os.ReadFile(from)
	f.try(func() error { return err })
	f.write(name, data, 0o755)
}

// copyLayout puts an image there. Its index has the digests of all else.
func (f *folder) copyLayout(name, from string) {
	f.try(func() error { return os.CopyFS(filepath.Join(f.dir, name), os.DirFS(from)) })
	index, err := os.ReadFile(filepath.Join(from, "index.json"))
	f.try(func() error { return err })
	f.manifest.Files[name+"/index.json"] = describe(index)
}

func describe(data []byte) talos.File {
	return talos.File{SHA256: digest(data), Size: int64(len(data))}
}

func (f *folder) try(do func() error) {
	if f.err == nil {
		f.err = do()
	}
}

// close writes the manifest, last: whoever finds it finds what it describes.
func (f *folder) close() error {
	text, err := json.MarshalIndent(f.manifest, "", "  ")
	f.try(func() error { return err })
	f.try(func() error { return os.WriteFile(filepath.Join(f.dir, talos.ManifestName), append(text, '\n'), 0o644) })
	if f.err != nil {
		return fmt.Errorf("writing the guest: %w", f.err)
	}
	files := f.manifest.Files
	say(fmt.Sprintf("%s: Talos %s on kernel %s, kernel %.1f MB, initramfs %.1f MB", f.dir, f.manifest.Talos, f.manifest.Kernel,
		float64(files[talos.KernelName].Size)/1e6, float64(files[talos.InitramfsName].Size)/1e6))
	return nil
}
