package rack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/nvram"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// lock keeps two racks from running the same disks.
type lock struct{ file *os.File }

func lockFolder(dir string) (*lock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the rack's folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("locking the rack's folder: %w; another rack uses %s: end it or choose another folder", err, dir)
	}
	return &lock{file: file}, nil
}

func (l *lock) release() error { return l.file.Close() }

// readyFiles makes what a server needs and does not have yet. What is there is
// kept: it is the server's memory.
func readyFiles(dir string, spec *Spec, vars string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if spec.Firmware != qemu.BIOS {
		if err := makeOnce(filepath.Join(dir, qemu.VarsFile), copyOf(vars)); err != nil {
			return fmt.Errorf("making the firmware variables: %w", err)
		}
	}
	for i := range spec.Disks {
		if err := readyDisk(filepath.Join(dir, qemu.ImageFile(i)), &spec.Disks[i]); err != nil {
			return fmt.Errorf("making disk %d: %w", i, err)
		}
	}
	return nil
}

// readyVars puts PXE back in front after a start that had it switched off, and lets this start boot by the override's URI, if it has one.
func readyVars(dir string, launch *qemu.Launch) error {
	if launch.Spec.Firmware == qemu.BIOS {
		return nil
	}
	path := filepath.Join(dir, qemu.VarsFile)
	vars, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the firmware variables: %w", err)
	}
	switch {
	case nvram.Unwritten(vars) && launch.Override.URI != "":
		return errors.New("this firmware lays out its variables at its first start: start it once before it boots by a URI")
	case nvram.Unwritten(vars):
		return nil
	}
	before := bytes.Clone(vars)
	if err := arrange(vars, launch); err != nil || bytes.Equal(before, vars) {
		return err
	}
	if err := os.WriteFile(path, vars, 0o600); err != nil {
		return fmt.Errorf("writing the firmware variables: %w", err)
	}
	return nil
}

// arrange changes the variables for one start.
func arrange(vars []byte, launch *qemu.Launch) error {
	if uri := launch.Override.URI; launch.Override.Target == machine.TargetUefiHTTP && uri != "" {
		return nvram.BootURI(vars, uri)
	}
	if err := nvram.ForgetURI(vars); err != nil || launch.HTTPBoot() {
		return err
	}
	_, err := nvram.ForgetHTTPBoot(vars)
	return err
}

func readyDisk(path string, disk *Disk) error {
	if disk.Image == "" {
		return makeOnce(path, blank(disk))
	}
	absolute, err := filepath.Abs(disk.Image) // QEMU runs in another folder
	if err != nil {
		return err
	}
	disk.Image = absolute
	info, err := os.Stat(absolute)
	if err != nil {
		return err
	}
	disk.SizeBytes = info.Size()
	return nil
}

// makeOnce writes a file that is complete when it has its name.
func makeOnce(path string, fill func(*os.File) error) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := errors.Join(fill(file), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func copyOf(source string) func(*os.File) error {
	return func(to *os.File) error {
		from, err := os.Open(source)
		if err != nil {
			return err
		}
		defer from.Close()
		_, err = io.Copy(to, from)
		return err
	}
}

// blank makes a sparse image, so that a large disk costs the host nothing.
func blank(disk *Disk) func(*os.File) error {
	return func(file *os.File) error {
		if err := file.Truncate(disk.SizeBytes); err != nil {
			return err
		}
		if disk.Fill == nil {
			return nil
		}
		return disk.Fill(file)
	}
}

// availableMiB reads MemAvailable of /proc/meminfo, which is in KiB (proc(5)).
func availableMiB(meminfo string) (int, error) {
	for line := range strings.Lines(meminfo) {
		rest, found := strings.CutPrefix(line, "MemAvailable:")
		if !found {
			continue
		}
		kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		if err != nil {
			return 0, fmt.Errorf("reading the host's memory: %w", err)
		}
		return kib / 1024, nil
	}
	return 0, errors.New("reading the host's memory: no MemAvailable")
}
