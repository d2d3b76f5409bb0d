package main

import metal "ingot.dev/ingot/crds/metal/v1alpha1"

// blank makes every disk read blank.
func blank(i *metal.ServerInventory) {
	for n := range i.Spec.Disks {
		i.Spec.Disks[n].Contents = metal.DiskBlank
	}
}
