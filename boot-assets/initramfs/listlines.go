package initramfs

import (
	"fmt"
	"regexp"
	"strings"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

var deviceForm = regexp.MustCompile(`^([0-9a-f]{4}):([0-9a-f]{4})(?:/([0-9a-f]{4}):([0-9a-f]{4}))?\s+([0-9a-f]{6})\s+([a-z0-9_]+)\s+(\S.*)$`)

// device reads "vendor:device[/subvendor:subdevice] class driver product".
func (l *Lists) device(line string) error {
	m := deviceForm.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("%q, want vendor:device[/subvendor:subdevice] class driver product", line)
	}
	l.Devices = append(l.Devices, Device{
		Vendor: upper(m[1]), Device: upper(m[2]), Subvendor: upper(m[3]), Subdevice: upper(m[4]),
		Class: strings.ToUpper(m[5]), Driver: m[6], Product: m[7],
	})
	return nil
}

func upper(id string) string {
	if id == "" {
		return "0000"
	}
	return strings.ToUpper(id)
}

// module reads "load NAME…", "pack NAME…" or "softdep WORD NAME".
func (l *Lists) module(line string) error {
	words := strings.Fields(line)
	for i := range words {
		words[i] = kmod.Canonical(words[i])
	}
	switch {
	case words[0] == "softdep" && len(words) == 3:
		l.Provides[words[1]] = words[2]
	case words[0] == "load" && len(words) > 1:
		l.Always = append(l.Always, words[1:]...)
		l.Modules = append(l.Modules, words[1:]...)
	case words[0] == "pack" && len(words) > 1:
		l.Modules = append(l.Modules, words[1:]...)
	default:
		return fmt.Errorf("%q, want load NAME…, pack NAME… or softdep WORD NAME", line)
	}
	return nil
}

// firmware reads "PATH reason".
func (l *Lists) firmware(line string) error {
	file, reason, ok := strings.Cut(line, " ")
	if !ok || strings.TrimSpace(reason) == "" {
		return fmt.Errorf("%q, want the file and the reason why it is left out", line)
	}
	l.LeftOut[file] = strings.TrimSpace(reason)
	return nil
}

// roots are the modules that the lists ask for.
func (l *Lists) roots() []string {
	out := append([]string(nil), l.Modules...)
	for _, d := range l.Devices {
		out = append(out, d.Driver)
	}
	return out
}
