package initramfs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Check says which promises of the lists the parts do not keep: a device without its driver, a module that is loaded always and is not
// there, firmware that neither lies in the image nor is left out for a reason, or a line of a list that nothing needs.
func Check(lists Lists, parts Parts) error {
	var problems []error
	for _, d := range lists.Devices {
		if drivers := parts.Index.Drivers(d.Modalias()); !slices.Contains(drivers, d.Driver) {
			problems = append(problems, fmt.Errorf("devices.list: %s (%s) is driven by %v, not by %s", d.Modalias(), d.Product, drivers, d.Driver))
		}
	}
	for _, name := range parts.Index.Always {
		if parts.Content[name] == nil {
			problems = append(problems, fmt.Errorf("modules.list: %s is not in the image", name))
		}
	}
	return errors.Join(append(problems, checkFirmware(lists, parts)...)...)
}

func checkFirmware(lists Lists, parts Parts) []error {
	var problems []error
	named := map[string]bool{}
	for _, m := range parts.Order {
		for _, file := range m.Firmware {
			named[file] = true
			if parts.Firmware[file] == nil && lists.LeftOut[file] == "" {
				problems = append(problems, fmt.Errorf("%s of %s is neither in the image nor in firmware.list", file, m.Name))
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(lists.LeftOut)) {
		if !named[file] || parts.Firmware[file] != nil {
			problems = append(problems, fmt.Errorf("firmware.list: no driver needs %s to be left out", file))
		}
	}
	return problems
}
