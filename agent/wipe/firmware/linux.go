package firmware

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// immutable is FS_IMMUTABLE_FL of linux/fs.h, as chattr +i sets it.
const immutable = 0x10

// Linux is Kernel for a running machine.
type Linux struct{}

// Writable mounts efivarfs for writing, and read-only again afterwards: a wrong write there can make a machine unbootable, so it is
// open for as short as possible.
func (Linux) Writable(dir string, f func() error) error {
	if err := remount(dir, 0); err != nil {
		return err
	}
	return errors.Join(f(), remount(dir, unix.MS_RDONLY))
}

func remount(dir string, flags uintptr) error {
	flags |= unix.MS_REMOUNT | unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	if err := unix.Mount("efivarfs", dir, "efivarfs", flags, ""); err != nil {
		return fmt.Errorf("mounting the firmware's variables again: %w", err)
	}
	return nil
}

// Mutable clears the flag.
func (Linux) Mutable(f *os.File) error {
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return fmt.Errorf("reading a variable's flags: %w", err)
	}
	if flags&immutable == 0 {
		return nil
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags&^immutable); err != nil {
		return fmt.Errorf("making a variable changeable: %w", err)
	}
	return nil
}

// write replaces a variable in one write, as efivarfs wants it: data that is shorter than before needs no truncation there.
func (v Vars) write(name string, data []byte) error {
	if err := v.unlock(name); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(v.Dir, name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("opening a variable to write: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (v Vars) remove(name string) error {
	if err := v.unlock(name); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(v.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (v Vars) unlock(name string) error {
	f, err := os.Open(filepath.Join(v.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening a variable: %w", err)
	}
	return errors.Join(v.Kernel.Mutable(f), f.Close())
}
