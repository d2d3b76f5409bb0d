package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ingot.dev/ingot/boot-assets/initramfs"
	"ingot.dev/ingot/boot-assets/initramfs/debian"
)

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.cache == "" {
		if o.cache, err = initramfs.DefaultCache(); err != nil {
			return err
		}
	}
	cache := &debian.Cache{
		Dir: o.cache, Arch: o.arch, Archive: debian.ArchiveFromEnv(os.Getenv),
		Progress: func(text string) { fmt.Fprintln(os.Stderr, "mkimage:", text) },
	}
	if o.update {
		return updateLock(ctx, cache, o.lock)
	}
	return build(ctx, cache, o)
}

func build(ctx context.Context, cache *debian.Cache, o options) error {
	agent, err := os.ReadFile(o.agent)
	if err != nil {
		return fmt.Errorf("reading the agent (build it first): %w", err)
	}
	if err := initramfs.CheckProgram(agent, o.arch); err != nil {
		return fmt.Errorf("%s: %w", o.agent, err)
	}
	lists, err := o.lists()
	if err != nil {
		return err
	}
	parts, err := initramfs.Load(ctx, cache, lists)
	if err != nil {
		return err
	}
	if err := initramfs.Check(lists, parts); err != nil {
		return fmt.Errorf("checking the lists against the packages: %w", err)
	}
	if parts.Extra, err = o.extra(parts.Vmlinuz); err != nil {
		return err
	}
	if parts.Vmlinuz, err = initramfs.PackKernel(ctx, parts.Vmlinuz); err != nil {
		return err
	}
	image, err := initramfs.Image(agent, parts)
	if err != nil {
		return err
	}
	return write(o, parts, image, len(agent))
}

// lists are the built-in ones unless a flag names a file.
func (o *options) lists() (initramfs.Lists, error) {
	if o.modules == "" {
		return initramfs.ReadLists(o.arch)
	}
	text, err := os.ReadFile(o.modules)
	if err != nil {
		return initramfs.Lists{}, fmt.Errorf("reading --modules: %w", err)
	}
	return initramfs.ReadModules(string(text))
}

// extra are the files that flags add to the image.
func (o *options) extra(vmlinuz []byte) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, path := range o.add {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading --add: %w", err)
		}
		files[name] = data
	}
	if o.kernelAs != "" {
		files[o.kernelAs] = vmlinuz
	}
	return files, nil
}

func write(o options, parts initramfs.Parts, image []byte, agent int) error {
	sizes := initramfs.NewSizes(parts, agent, len(image))
	if err := sizes.Check(); err != nil {
		return err
	}
	manifest := initramfs.NewManifest(o.arch, parts.Kernel, parts.Vmlinuz, image)
	text, err := manifest.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("making the image's folder: %w", err)
	}
	// The manifest comes last: whoever finds it finds what it describes.
	for _, file := range []struct {
		name string
		data []byte
	}{{initramfs.VmlinuzName, parts.Vmlinuz}, {initramfs.InitramfsName, image}, {initramfs.ManifestName, text}} {
		if err := replace(filepath.Join(o.out, file.name), file.data); err != nil {
			return err
		}
	}
	if o.sizes {
		fmt.Print(sizes.Table())
	}
	fmt.Printf("%s: %s, version %s\n", o.out, sizes.Summary(), manifest.Version)
	return nil
}

// replace writes a file whole or not at all.
func replace(name string, data []byte) error {
	part := name + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return fmt.Errorf("writing image: %w", err)
	}
	if err := os.Rename(part, name); err != nil {
		return fmt.Errorf("writing image: %w", err)
	}
	return nil
}

// updateEach asks for the packages of each architecture at once, those that fit all with the first, and keeps their order.
func updateEach(packages []debian.Package, update func(arch string, some []debian.Package) ([]debian.Package, error)) ([]debian.Package, error) {
	out := slices.Clone(packages)
	for i, arch := range archs {
		var some []debian.Package
		var places []int
		for at, p := range packages {
			if p.Arch == arch || i == 0 && p.Arch == debian.ArchAll {
				some, places = append(some, p), append(places, at)
			}
		}
		if len(some) == 0 {
			continue
		}
		updated, err := update(arch, some)
		if err != nil {
			return nil, err
		}
		for n, at := range places {
			out[at] = updated[n]
		}
	}
	return out, nil
}

func updateLock(ctx context.Context, cache *debian.Cache, name string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading the lock file (run from the top of the repository, or name it with --lock): %w", err)
	}
	packages, err := debian.ParseLock(old)
	if err != nil {
		return err
	}
	updated, err := updateEach(packages, func(arch string, some []debian.Package) ([]debian.Package, error) {
		of := *cache
		of.Arch = arch
		return of.Update(ctx, some)
	})
	if err != nil {
		return err
	}
	for i, p := range updated {
		if p != packages[i] {
			fmt.Printf("%s %s -> %s %s\n", packages[i].Name, packages[i].Version, p.Name, p.Version)
		}
	}
	return replace(name, debian.FormatLock(old, updated))
}
