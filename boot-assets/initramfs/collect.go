package initramfs

import (
	"fmt"
	"slices"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

// Files reads the content of a package by name, without leading slash.
type Files interface {
	Names(folder string) []string
	Read(name string) ([]byte, error)
}

// Parts is what an image is made of, beside the program.
type Parts struct {
	// Kernel is the release, as `uname -r` says it.
	Kernel  string
	Vmlinuz []byte
	// Order has every module after what it needs; Content has their bytes by name.
	Order   []kmod.Module
	Content map[string][]byte
	// Firmware by path below /lib/firmware.
	Firmware map[string][]byte
	Index    Index
	// Extra are more files of the image, by path without slash in front; Programs may be run.
	Extra, Programs map[string][]byte
}

// Collect reads what the lists ask for out of the kernel's package and the firmware packages.
func Collect(lists Lists, kernel Files, firmware []Files) (Parts, error) {
	tree, err := newTree(kernel)
	if err != nil {
		return Parts{}, err
	}
	parts := Parts{Kernel: tree.release}
	if parts.Vmlinuz, err = kernel.Read("boot/vmlinuz-" + tree.release); err != nil {
		return Parts{}, fmt.Errorf("reading kernel: %w", err)
	}
	infos, err := tree.closure(lists)
	if err != nil {
		return Parts{}, err
	}
	parts.Content = tree.content
	if parts.Order, err = kmod.Order(infos, tree.builtin, lists.Provides); err != nil {
		return Parts{}, fmt.Errorf("ordering modules: %w", err)
	}
	parts.Index = newIndex(parts.Order, lists.always(tree.builtin))
	parts.Firmware, err = collectFirmware(lists, parts.Order, firmware)
	return parts, err
}

// always leaves out what the kernel contains.
func (l *Lists) always(builtin map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(l.Always), func(name string) bool { return builtin[name] })
}
