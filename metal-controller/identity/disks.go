package identity

import (
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// WWIDKey is the form in which WWIDs are compared: the same disk may be spelled in upper case by one driver and in lower case by another, and a
// shared disk that is not noticed is worse than two disks that are taken for one. Empty for a WWID of blanks.
func WWIDKey(wwid string) string { return strings.ToLower(strings.TrimSpace(wwid)) }

// WWIDs are the keys of all disks that an inventory shows, each once.
func WWIDs(inventory *metal.ServerInventorySpec) []string {
	var keys []string
	seen := map[string]bool{}
	for _, d := range inventory.Disks {
		if k := WWIDKey(d.WWID); k != "" && !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	return keys
}

// Elsewhere maps each of the WWIDs that an inventory of another Server shows too to that Server: the first by name, so that the answer is the same
// in whatever order they come. Such disks are shared and nobody's own (rule 3 of DESIGN section 3). The keys are spelled as they were asked for.
func Elsewhere(name string, wwids []string, inventories []metal.ServerInventory) map[string]string {
	holder := map[string]string{}
	for i := range inventories {
		other := &inventories[i]
		if other.Name == name {
			continue
		}
		for _, d := range other.Spec.Disks {
			if k := WWIDKey(d.WWID); k != "" && (holder[k] == "" || other.Name < holder[k]) {
				holder[k] = other.Name
			}
		}
	}
	found := map[string]string{}
	for _, w := range wwids {
		if h := holder[WWIDKey(w)]; h != "" {
			found[w] = h
		}
	}
	return found
}
