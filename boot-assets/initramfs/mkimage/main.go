// Command mkimage builds the agent image: kernel, initramfs and manifest, out of locked Debian packages and a program, the agent unless flags say otherwise.
//
// It wires package initramfs (layer 4).
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

// archs are the architectures that images can be built for.
var archs = []string{"amd64", "arm64"}

type options struct {
	arch, agent, out, cache, lock string
	modules, kernelAs             string
	add                           map[string]string
	update, sizes                 bool
}

func parse(args []string) (options, error) {
	o := options{add: map[string]string{}}
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	flags.StringVar(&o.arch, "arch", "amd64", "architecture of the image: amd64 or arm64")
	flags.StringVar(&o.agent, "agent", "", "static program that becomes /init")
	flags.StringVar(&o.out, "out", "", "folder for vmlinuz, initramfs.zst and manifest.json")
	flags.StringVar(&o.cache, "cache", "", "folder for fetched packages (default: ingot/debs in the user's cache folder)")
	flags.StringVar(&o.modules, "modules", "", "file in the form of modules.list to use instead of the built-in lists, for an image with few drivers")
	flags.StringVar(&o.kernelAs, "kernel-as", "", "path within the image at which the kernel lies once more, for a program that installs it")
	flags.Func("add", "`NAME=FILE`: one more file of the image, and what it is called there; repeatable", o.addFile)
	flags.BoolVar(&o.sizes, "sizes", false, "print the size of every module and firmware file")
	flags.BoolVar(&o.update, "update-lock", false, "write the newest versions that the archive offers into the lock file, and stop")
	flags.StringVar(&o.lock, "lock", "boot-assets/initramfs/packages.lock", "lock file that --update-lock rewrites")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if !slices.Contains(archs, o.arch) {
		return o, fmt.Errorf("--arch %s: images can be built for %s", o.arch, strings.Join(archs, " and "))
	}
	if !o.update && (o.agent == "" || o.out == "") {
		return o, fmt.Errorf("--agent and --out are needed; see mkimage --help")
	}
	return o, nil
}

func (o *options) addFile(value string) error {
	name, file, ok := strings.Cut(value, "=")
	if !ok || !fs.ValidPath(name) || file == "" {
		return fmt.Errorf("%q is not NAME=FILE with a relative NAME", value)
	}
	o.add[name] = file
	return nil
}
