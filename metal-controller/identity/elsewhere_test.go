package identity_test

import (
	"maps"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/identity"
)

func showing(name string, wwids ...string) metal.ServerInventory {
	i := metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, w := range wwids {
		i.Spec.Disks = append(i.Spec.Disks, metal.Disk{WWID: w})
	}
	return i
}

func TestElsewhere(t *testing.T) {
	all := []metal.ServerInventory{
		showing("c", "naa.1", "naa.2", "naa.9"), showing("a", "naa.1"), showing("b", "NAA.A2", ""), showing("me", "naa.1", "naa.3", "naa.a2", ""),
	}
	own := showing("me", "naa.1", "naa.3", "naa.a2", "", "naa.new").Spec
	if got := identity.Elsewhere("me", &own, all); !maps.Equal(got, map[string]string{"naa.1": "a", "naa.a2": "b"}) {
		t.Errorf("shared disks: %v", got)
	}
	// What was read uncached counts, not the older copy in the list.
	newer := showing("me", "naa.9").Spec
	if got := identity.Elsewhere("me", &newer, all); !maps.Equal(got, map[string]string{"naa.9": "c"}) {
		t.Errorf("with a newer inventory: %v", got)
	}
	if got := identity.Elsewhere("me", nil, all); len(got) != 0 {
		t.Errorf("without an inventory: %v", got)
	}
}
