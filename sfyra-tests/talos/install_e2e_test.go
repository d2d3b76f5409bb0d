//go:build e2e_talos

package talos

import (
	"os"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// registryAddress is where the guest finds images.
const registryAddress = "192.168.77.1:5000"

// serveImages runs the guest's registry until the test ends.
func (l *lab) serveImages() {
	l.t.Helper()
	stop, err := l.guest.ServeImages(registryAddress, os.Stderr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(stop)
}

// install boots the guest, which fetches its config, installs itself and starts what it installed.
func install(t *testing.T, memoryMiB int) *lab {
	t.Helper()
	l := newLab(t, memoryMiB, configLine, nil)
	l.serveConfig(l.generate())
	l.serveImages()
	l.powerOn()
	l.await("nvme_core.io_timeout=", "read", "/proc/cmdline") // an argument of every installed Talos, which our line does not have
	l.lap(PhaseInstalled)
	l.answers()
	l.fetchedOnce()
	return l
}

// TestInstall: Talos takes a config, installs itself from a registry by its real installer, and what it installed answers with the cluster's own
// certificates, to nobody else; after a cut of power too, when the firmware starts it from the disk.
func TestInstall(t *testing.T) {
	l := install(t, 3584)
	l.await("nvme0n1", "get", "systemdisk")
	l.refusesStrangers()
	l.restart()
	l.await("BOOT_IMAGE=", "read", "/proc/cmdline") // GRUB puts that in front of the line; QEMU and kexec do not
	l.lap(PhaseDisk)
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
