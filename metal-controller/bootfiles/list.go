// Package bootfiles lists the files that Environments name, and keeps in memory what each site's pxe-server tells of them.
//
// It is an adapter (layer 2) between the boot side's server and the reconciler of Environments. Nothing in it permits anything; all of it may be lost at
// any moment, and it is bounded. Each replica has its own.
package bootfiles

import (
	"slices"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/pxe-server/boot"
)

// File is one file of an Environment.
type File struct {
	// Name tells which one it is, for instance amd64/kernel.
	Name string
	metal.Asset
}

// Of lists the files of one Environment as far as they are known.
func Of(env *metal.Environment) []File {
	var out []File
	for _, b := range env.Boots() {
		for _, f := range []struct {
			name  string
			asset *metal.Asset
		}{{"kernel", b.Kernel}, {"initramfs", b.Initramfs}, {"uki", b.UKI}} {
			if f.asset != nil {
				out = append(out, File{b.Arch + "/" + f.name, *f.asset})
			}
		}
	}
	return out
}

// All lists the files of all Environments, each digest once, by the first Environment that names it; in the same order however they are given. What is
// over the limit of a view is left out.
func All(envs []metal.Environment) []metal.Asset {
	sorted := slices.Clone(envs)
	slices.SortFunc(sorted, func(a, b metal.Environment) int { return strings.Compare(a.Name, b.Name) })
	var out []metal.Asset
	seen := map[string]bool{}
	for i := range sorted {
		for _, f := range Of(&sorted[i]) {
			if !seen[f.SHA256] && len(out) < boot.MaxFiles {
				seen[f.SHA256] = true
				out = append(out, f.Asset)
			}
		}
	}
	return out
}
