package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

// maxModinfo bounds the section; the largest of Debian's 6.12 kernel is below 200 KiB.
const maxModinfo = 4 << 20

// Info is what a module says of itself.
type Info struct {
	// Name with underscores.
	Name string
	// Depends are the modules whose symbols it uses.
	Depends []string
	// Pre are the modules, or aliases of modules, that it asks to be loaded before it (softdep pre:).
	Pre []string
	// Aliases are patterns of modaliases that it drives.
	Aliases []string
	// Firmware are paths below /lib/firmware that it may ask for.
	Firmware []string
	// Vermagic begins with the kernel release that it was built for.
	Vermagic string
}

// Canonical is the kernel's spelling of a module's name.
func Canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Parse reads a module, uncompressed.
func Parse(ko []byte) (Info, error) {
	file, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		return Info{}, fmt.Errorf("reading module as ELF: %w", err)
	}
	section := file.Section(".modinfo")
	if section == nil {
		return Info{}, errors.New("module has no .modinfo section")
	}
	if section.Size > maxModinfo || section.FileSize > maxModinfo {
		return Info{}, fmt.Errorf(".modinfo section has %d bytes, more than %d", section.Size, maxModinfo)
	}
	data, err := section.Data()
	if err != nil {
		return Info{}, fmt.Errorf("reading .modinfo: %w", err)
	}
	return ParseModinfo(data)
}

// ParseModinfo reads the content of .modinfo: key=value strings that end in NUL.
func ParseModinfo(data []byte) (Info, error) {
	var info Info
	for _, field := range bytes.Split(data, []byte{0}) {
		if key, value, ok := strings.Cut(string(field), "="); ok {
			info.set(key, value)
		}
	}
	if info.Name == "" {
		return Info{}, errors.New("module does not say its name")
	}
	return info, nil
}

func (i *Info) set(key, value string) {
	switch key {
	case "name":
		i.Name = Canonical(value)
	case "depends":
		i.Depends = append(i.Depends, names(strings.Split(value, ","))...)
	case "softdep":
		i.Pre = append(i.Pre, softdepPre(value)...)
	case "alias":
		i.Aliases = append(i.Aliases, value)
	case "firmware":
		i.Firmware = append(i.Firmware, value)
	case "vermagic":
		i.Vermagic = value
	}
}

// softdepPre reads "pre: a b post: c" (modprobe.d(5), softdep).
func softdepPre(value string) []string {
	var pre []string
	inPre := false
	for _, word := range strings.Fields(value) {
		switch word {
		case "pre:":
			inPre = true
		case "post:":
			inPre = false
		default:
			if inPre {
				pre = append(pre, word)
			}
		}
	}
	return names(pre)
}

func names(in []string) []string {
	var out []string
	for _, name := range in {
		if name != "" {
			out = append(out, Canonical(name))
		}
	}
	return out
}
