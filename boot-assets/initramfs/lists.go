package initramfs

import (
	_ "embed" // the checked-in lists
	"fmt"
	"regexp"
	"strings"
)

//go:embed packages.lock
var packagesLock []byte

//go:embed devices.list
var devicesList string

//go:embed modules.list
var modulesList string

//go:embed firmware.list
var firmwareList string

// Device is a line of devices.list.
type Device struct {
	// IDs are vendor, device, subsystem vendor and subsystem device, upper-case, as modaliases have them; the last two may be zero.
	Vendor, Device, Subvendor, Subdevice string
	// Class is the PCI class code, six upper-case hexadecimal digits.
	Class string
	// Driver is the module that must drive it.
	Driver string
	// Product names it for people.
	Product string
}

// Modalias is what the kernel calls the device (Linux, drivers/pci/pci-sysfs.c, modalias_show).
func (d Device) Modalias() string {
	return fmt.Sprintf("pci:v0000%sd0000%ssv0000%ssd0000%sbc%ssc%si%s",
		d.Vendor, d.Device, d.Subvendor, d.Subdevice, d.Class[:2], d.Class[2:4], d.Class[4:])
}

// Lists are the checked-in lists, read.
type Lists struct {
	Devices []Device
	// Modules are those of modules.list; Always is the part that is loaded without being asked.
	Modules, Always []string
	// Provides translates words of softdeps into modules.
	Provides map[string]string
	// LeftOut are firmware files that are not in the image, with the reason.
	LeftOut map[string]string
}

// ReadLists reads the lists that are compiled in, for an architecture as Debian names it.
func ReadLists(arch string) (Lists, error) {
	lists := Lists{Provides: map[string]string{}, LeftOut: map[string]string{}}
	for _, list := range []struct {
		name, text string
		line       func(string) error
	}{
		{"devices.list", devicesList, lists.device},
		{"modules.list", modulesList, lists.module},
		{"firmware.list", firmwareList, lists.firmware},
	} {
		if err := eachLine(list.text, arch, list.line); err != nil {
			return Lists{}, fmt.Errorf("reading %s: %w", list.name, err)
		}
	}
	return lists, nil
}

// ReadModules reads a list in the form of modules.list, for images that need no more than it names. It has no sections.
func ReadModules(text string) (Lists, error) {
	lists := Lists{Provides: map[string]string{}, LeftOut: map[string]string{}}
	if err := eachLine(text, "", lists.module); err != nil {
		return Lists{}, fmt.Errorf("reading the list of modules: %w", err)
	}
	return lists, nil
}

// section is the head of a part of a list that is for one architecture alone.
var section = regexp.MustCompile(`^\[([a-z0-9]+)\]$`)

// eachLine leaves out empty lines, those that begin with #, and sections of other architectures.
func eachLine(text, arch string, line func(string) error) error {
	number, ours := 0, true
	for raw := range strings.Lines(text) {
		number++
		trimmed := strings.TrimSpace(raw)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		if head := section.FindStringSubmatch(trimmed); head != nil && arch != "" {
			if machines[head[1]] == 0 {
				return fmt.Errorf("line %d: %q is no architecture", number, head[1])
			}
			ours = head[1] == arch
			continue
		}
		if !ours {
			continue
		}
		if err := line(trimmed); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}
