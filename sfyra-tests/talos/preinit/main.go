// Command preinit is the first program of the Talos guest: it loads the kernel modules that Talos expects to be built in, since the guest's kernel
// is Debian's, starts the processors that the kernel line left out (talos.KernelArgs says why), and then becomes the unmodified init of Talos.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
	if err := processors(log); err != nil {
		return err
	}
	return fmt.Errorf("starting %s: %w", talosInit, syscall.Exec(talosInit, []string{"/init"}, os.Environ()))
}

// processors starts all that are there. Talos mounts sysfs itself, so it is gone again afterwards.
func processors(log *slog.Logger) (err error) {
	if err := os.MkdirAll("/sys", 0o755); err != nil {
		return fmt.Errorf("making a place for sysfs: %w", err)
	}
	if err := syscall.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting sysfs: %w", err)
	}
	defer func() {
		if gone := syscall.Unmount("/sys", 0); gone != nil {
			err = errors.Join(err, fmt.Errorf("unmounting sysfs: %w", gone))
		}
	}()
	switches, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/online")
	for _, s := range switches {
		err = errors.Join(err, os.WriteFile(s, []byte("1"), 0o600)) // one that runs already stays so
	}
	log.Info("preinit: started processors", "count", len(switches), "err", err)
	return err
}
