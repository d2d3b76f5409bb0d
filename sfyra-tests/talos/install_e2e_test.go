//go:build e2e_talos

package talos

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// registryAddress is where the guest finds images.
const registryAddress = "192.168.77.1:5000"

// serveImages runs the guest's registry until the test ends.
func (l *lab) serveImages() {
	l.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, l.guest.Program("registry"), "serve", "--layout", l.guest.File(ImagesName), "--listen", registryAddress)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("starting the registry (build it: make talos SLICE=install): %v", err)
	}
	l.t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "registry: ready") {
			return
		}
		l.t.Log(lines.Text())
	}
	l.t.Fatal("the registry ended")
}

// shown waits until the console has a text so many times.
func (l *lab) shown(text string, times int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for strings.Count(l.console(), text) < times {
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("the console did not show %q %d times", text, times)
		}
	}
	l.t.Logf("%5.1f s after power-on: the console shows %q", time.Since(l.begin).Seconds(), text)
}

// install boots the guest, which fetches its config, installs itself and starts what it installed.
func install(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, 3584, configLine, nil)
	l.serveConfig(l.generate())
	l.serveImages()
	l.powerOn()
	l.shown("Linux version", 1)
	l.shown("Linux version", 2) // kexec: no firmware in between
	l.answers()
	l.fetchedOnce()
	return l
}

// TestInstall: Talos takes a config, installs itself from a registry by its real installer, and what it installed answers with the cluster's own
// certificates, to nobody else; after a cut of power too, when the firmware starts it from the disk.
func TestInstall(t *testing.T) {
	l := install(t)
	l.await("nvme0n1", "get", "systemdisk")
	l.refusesStrangers()
	l.restart()
	l.shown("Linux version", 3)
	l.await("nvme0n1", "get", "systemdisk")
	const byLoader = "Command line: BOOT_IMAGE=" // GRUB puts that in front of the line; QEMU and kexec do not
	if console := l.console(); strings.Count(console, byLoader) != 1 || strings.LastIndex(console, byLoader) < strings.LastIndex(console, "Linux version") {
		t.Error("the last start was not by the boot loader on the disk")
	}
	l.fetchedOnce()
}

// restart cuts the power and lets the firmware start the disk.
func (l *lab) restart() {
	l.t.Helper()
	if err := l.server.ForceOff(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	if err := l.server.SetBootOverride(l.t.Context(), machine.BootOverride{Target: machine.TargetHdd}); err != nil {
		l.t.Fatal(err)
	}
	l.powerOn()
}
