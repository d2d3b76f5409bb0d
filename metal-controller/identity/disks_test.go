package identity_test

import (
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/identity"
)

func shows(name string, wwids ...string) metal.ServerInventory {
	i := metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, w := range wwids {
		i.Spec.Disks = append(i.Spec.Disks, metal.Disk{WWID: w})
	}
	return i
}

// TestElsewhere: a disk that another Server shows is found whatever its spelling; the own report, and disks without a WWID, are nobody else's.
func TestElsewhere(t *testing.T) {
	all := []metal.ServerInventory{shows("s3", "eui.1"), shows("s2", "EUI.1 ", "naa.2", ""), shows("s1", "eui.1", "own", "own", "")}
	got := identity.Elsewhere("s1", []string{"eui.1", "own", "", "NAA.2", "absent"}, all)
	want := map[string]string{"eui.1": "s2", "NAA.2": "s2"}
	if !maps.Equal(got, want) {
		t.Errorf("elsewhere %v; want %v", got, want)
	}
	slices.Reverse(all)
	if again := identity.Elsewhere("s1", []string{"eui.1", "own", "", "NAA.2", "absent"}, all); !maps.Equal(again, want) {
		t.Errorf("in another order %v; want %v", again, want)
	}
	if got := identity.WWIDs(&all[0].Spec); !slices.Equal(got, []string{"eui.1", "own"}) {
		t.Errorf("keys %q", got)
	}
}
