package install

import (
	"fmt"
	"io/fs"
	"path"

	"ingot.dev/ingot/boot-assets/initramfs/cpio"
)

// Where a netbooted system finds what it installs; the image's builder puts it there.
const (
	payloadLoader = "payload/bootx64.efi"
	payloadKernel = "payload/vmlinuz"
)

// Read collects what a netbooted system needs to install itself: its own files, but for what is only there to be installed.
func Read(root fs.FS) (System, error) {
	var s System
	for _, dir := range []string{"dev", "etc", "modules", "proc", "run", "sys", "tmp"} {
		s.Root = append(s.Root, cpio.Entry{Name: dir, Mode: cpio.ModeDir})
	}
	// The kernel opens it for /init before anything is mounted; major 5, minor 1 (Linux, Documentation/admin-guide/devices.txt).
	s.Root = append(s.Root, cpio.Entry{Name: "dev/console", Mode: cpio.ModeConsole, Major: 5, Minor: 1})
	modules, err := fs.ReadDir(root, "modules")
	if err != nil {
		return s, fmt.Errorf("reading the running system: %w", err)
	}
	names := []string{"init"}
	for _, m := range modules {
		names = append(names, path.Join("modules", m.Name()))
	}
	for _, name := range names {
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return s, fmt.Errorf("reading the running system: %w", err)
		}
		s.Root = append(s.Root, cpio.Entry{Name: name, Mode: cpio.ModeProgram, Data: data})
	}
	for name, into := range map[string]*[]byte{payloadLoader: &s.Loader, payloadKernel: &s.Kernel} {
		if *into, err = fs.ReadFile(root, name); err != nil {
			return s, fmt.Errorf("reading what is to be installed: %w", err)
		}
	}
	return s, nil
}
