// Command mkguest builds the test guest of the real Talos: kernel, initramfs, programs and images for a registry, out of pinned Go modules and
// locked Debian packages. What did not change since the last run is taken from a cache.
//
// It wires (layer 4). Run it from the top of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"ingot.dev/ingot/boot-assets/initramfs"
	"ingot.dev/ingot/boot-assets/initramfs/debian"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mkguest:", err)
		os.Exit(1)
	}
}

// slices of the guest, each with all of those before it.
var sliceNames = []string{"apid", "install", "kubernetes"}

type options struct {
	out, slice, source, cache, debs string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("mkguest", flag.ContinueOnError)
	flags.StringVar(&o.out, "out", "", "folder for kernel, initramfs, programs and manifest.json")
	flags.StringVar(&o.slice, "slice", "apid", "how much to build: apid (boots to Talos' API), install (and installs itself), kubernetes (and becomes a cluster)")
	flags.StringVar(&o.source, "source", "sfyra-tests/talos", "folder of the modules and lists")
	flags.StringVar(&o.cache, "cache", "build/cache/talos", "folder for what was built before")
	flags.StringVar(&o.debs, "debs", "", "folder for fetched packages (default: ingot/debs in the user's cache folder)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.out == "" || !slices.Contains(sliceNames, o.slice) {
		return o, fmt.Errorf("--out and --slice with one of %s are needed; see mkguest --help", strings.Join(sliceNames, ", "))
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.debs == "" {
		if o.debs, err = initramfs.DefaultCache(); err != nil {
			return err
		}
	}
	b := &builder{
		options: o, steps: steps{dir: o.cache, say: say}, inputs: map[string]string{},
		debs: &debian.Cache{Dir: o.debs, Arch: "amd64", Archive: debian.ArchiveFromEnv(os.Getenv), Progress: say},
	}
	return b.build(ctx)
}

func say(text string) { fmt.Fprintln(os.Stderr, "mkguest:", text) }

// builder builds one guest.
type builder struct {
	options
	steps    steps
	debs     *debian.Cache
	packages []debian.Package
	programs map[string]string
	inputs   map[string]string
}

// has says whether a slice is part of the one that is built.
func (b *builder) has(slice string) bool {
	return slices.Index(sliceNames, slice) <= slices.Index(sliceNames, b.slice)
}

func (b *builder) build(ctx context.Context) error {
	if err := b.lock(ctx); err != nil {
		return err
	}
	if err := b.compile(ctx); err != nil {
		return err
	}
	parts, err := b.kernel(ctx)
	if err != nil {
		return err
	}
	rootfs, err := b.rootfs(ctx, parts)
	if err != nil {
		return err
	}
	return b.assemble(ctx, parts, rootfs)
}

// lock reads the list of packages and fetches those that are not there yet.
func (b *builder) lock(ctx context.Context) error {
	text, err := b.list("packages.lock")
	if err != nil {
		return err
	}
	if b.packages, err = debian.ParseLock([]byte(text)); err != nil {
		return err
	}
	for _, p := range b.packages {
		b.inputs["debian:"+p.Name] = p.Version + " sha256:" + p.SHA256
	}
	return b.debs.Fetch(ctx, b.packages)
}

// list reads one of the checked-in lists.
func (b *builder) list(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(b.source, name))
	if err != nil {
		return "", fmt.Errorf("reading a list (run from the top of the repository, or name its folder with --source): %w", err)
	}
	b.inputs["list:"+name] = "sha256:" + digest(text)
	return string(text), nil
}
