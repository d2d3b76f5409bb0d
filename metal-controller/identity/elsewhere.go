package identity

import (
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Elsewhere maps the WWID of each of a server's disks that another server shows too to the name of that server, the first by name. Such a disk is
// shared, or was moved; it is nobody's own (rule 3 of DESIGN section 3). own is the server's inventory as it is judged, which may be newer than the
// one among all; nil is an inventory without disks. Only disks of own are looked for, so that a thousand servers cost no table of all disks each.
func Elsewhere(server string, own *metal.ServerInventorySpec, all []metal.ServerInventory) map[string]string {
	if own == nil {
		return nil
	}
	ours := make(map[string]string, len(own.Disks))
	for _, d := range own.Disks {
		if d.WWID != "" {
			ours[wwid(d.WWID)] = d.WWID
		}
	}
	out := map[string]string{}
	for i := range all {
		if all[i].Name == server {
			continue
		}
		for _, d := range all[i].Spec.Disks {
			shown, both := ours[wwid(d.WWID)]
			if first, known := out[shown]; both && (!known || all[i].Name < first) {
				out[shown] = all[i].Name
			}
		}
	}
	return out
}

// wwid in one form: two machines may spell the hexadecimal digits of one disk differently.
func wwid(s string) string { return strings.ToLower(s) }
