package initramfs

import (
	"errors"
	"fmt"
	"io/fs"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

// collectFirmware finds every file that the modules name and that the list does not leave out.
func collectFirmware(lists Lists, order []kmod.Module, packages []Files) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, module := range order {
		for _, name := range module.Firmware {
			if out[name] != nil || lists.LeftOut[name] != "" {
				continue
			}
			data, err := findFirmware(name, packages)
			if err != nil {
				return nil, fmt.Errorf("firmware of %s: %w; add its package to packages.lock, or the file to firmware.list with the reason", module.Name, err)
			}
			out[name] = data
		}
	}
	return out, nil
}

func findFirmware(name string, packages []Files) ([]byte, error) {
	for _, files := range packages {
		data, err := files.Read("usr/lib/firmware/" + name)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, fmt.Errorf("no package has %s: %w", name, fs.ErrNotExist)
}
