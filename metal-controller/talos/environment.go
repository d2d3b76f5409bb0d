package talos

import (
	"slices"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Boots says that an Environment boots a Talos, which knows no callbacks and is asked instead: a release of it, or files whose kernel line says where its
// config is.
func Boots(env *metal.Environment) bool {
	return env.Spec.Talos != nil || slices.ContainsFunc(env.Spec.Boot, func(b metal.BootAssets) bool {
		return slices.ContainsFunc(b.Args, func(a string) bool { return strings.HasPrefix(a, "talos.config=") })
	})
}
