package boot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

type mount struct {
	kind, target string
	flags        uintptr
	optional     bool
}

// mounts in order. devtmpfs may be mounted by the kernel already; efivarfs exists on UEFI machines only.
var mounts = []mount{
	{kind: "proc", target: "/proc", flags: unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV},
	{kind: "sysfs", target: "/sys", flags: unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV},
	{kind: "devtmpfs", target: "/dev", flags: unix.MS_NOSUID | unix.MS_NOEXEC},
}

// EFIVars is where the firmware's variables are.
const EFIVars = "/sys/firmware/efi/efivars"

// efivars is mounted later, since its driver may be a module. Read-only: a wrong write there can make a machine unbootable. Whoever
// must write mounts it again for that moment.
var efivars = mount{
	kind: "efivarfs", target: EFIVars, optional: true,
	flags: unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV | unix.MS_RDONLY,
}

// Mount mounts what every step needs.
func Mount() error {
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

// MountEFIVars mounts the firmware's variables read-only; a BIOS machine has none, which is no error.
func MountEFIVars() error {
	if _, err := os.Stat(efivars.target); err != nil {
		return nil
	}
	return efivars.do()
}

func (m mount) do() error {
	// An initramfs may come without the empty folders.
	_ = os.MkdirAll(m.target, 0o755)
	err := unix.Mount(m.kind, m.target, m.kind, m.flags, "")
	if err == nil || errors.Is(err, unix.EBUSY) {
		return nil
	}
	return fmt.Errorf("mounting %s: %w", m.target, err)
}
