// Command preinit is the first program of the Talos guest: it loads the kernel modules that Talos expects to be built in, since the guest's kernel
// is Debian's, and then becomes the unmodified init of Talos.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"ingot.dev/ingot/agent/modules"
)

// Places of the initramfs.
const (
	modulesDir = "/modules"
	talosInit  = "/talos-init"
)

func main() {
	err := run(slog.New(slog.NewTextHandler(os.Stdout, nil)))
	fmt.Fprintln(os.Stderr, "preinit:", err) // run returns only when it failed; the kernel panics then, and says so on the console
	os.Exit(1)
}

func run(log *slog.Logger) error {
	index, err := modules.ReadIndex(os.DirFS(modulesDir))
	if err != nil {
		return err
	}
	loader := modules.New(modules.Config{
		Index: index, Root: os.DirFS("/"), Insert: modules.Kernel(modulesDir), After: time.After, Log: log,
	})
	log.Info("preinit: loaded modules", "loaded", loader.Always(context.Background()), "of", len(index.Modules))
	return fmt.Errorf("starting %s: %w", talosInit, syscall.Exec(talosInit, []string{"/init"}, os.Environ()))
}
