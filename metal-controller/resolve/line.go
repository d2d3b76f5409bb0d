package resolve

import (
	"fmt"
	"slices"
	"strings"

	"ingot.dev/ingot/boot-assets/factory"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
)

const (
	platform = "talos.platform="
	// maxLine bounds a kernel line in bytes: 2,048 on x86, without what the boot server adds and the address of the machine config.
	maxLine = 1700
	maxArgs = 64
)

// standard is the kernel line of Talos on bare metal where nobody names one. Talos does not start without slab_nomerge and pti.
var standard = []string{"console=tty0", "consoleblank=0", "init_on_alloc=1", "slab_nomerge=", "pti=on", "printk.devkmsg=on"}

// Args makes the kernel line of a netboot out of a factory's, or of the standard one when that is empty: Talos fetches its config from where Ingot says.
func Args(line []string) []string {
	if len(line) == 0 {
		line = standard
	}
	named := slices.ContainsFunc(line, func(a string) bool { return strings.Contains(a, capability.Placeholder) })
	out := []string{platform + "metal"}
	for _, a := range line {
		if strings.HasPrefix(a, platform) || !named && strings.HasPrefix(a, capability.TalosConfig) {
			continue
		}
		out = append(out, a)
	}
	if named {
		return out
	}
	return append(out, capability.TalosConfig+capability.Placeholder)
}

func checkLine(args []string) error {
	if n := len(strings.Join(args, " ")); n > maxLine || len(args) > maxArgs {
		return fmt.Errorf("%w: it has %d bytes and %d arguments, and at most %d and %d fit; shorten customization.extraKernelArgs of the schematic, or args of spec.talos.boot", factory.ErrLine, n, len(args), maxLine, maxArgs)
	}
	return nil
}

// Named is what a release is made of whose files are named: nobody is asked.
func Named(t *metal.TalosSource) (*Found, error) {
	release := factory.Release{Schematic: t.SchematicID, Version: t.Version, SecureBoot: t.SecureBoot}
	found := &Found{SchematicID: t.SchematicID, Installer: factory.Installer(t.FactoryURL, release)}
	for i := range t.Boot {
		b := t.Boot[i].DeepCopy()
		b.Args = Args(b.Args)
		if err := checkLine(b.Args); err != nil {
			return nil, err
		}
		found.Boot = append(found.Boot, *b)
	}
	return found, nil
}
