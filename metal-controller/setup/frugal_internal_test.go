package setup

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func inventoryOf(serial string) *metal.ServerInventory {
	clone := strings.Clone // the compiler would share constants
	return &metal.ServerInventory{
		ObjectMeta: metav1.ObjectMeta{Name: serial, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}},
		Spec: metal.ServerInventorySpec{
			System: metal.SystemInfo{Product: clone("P"), Serial: serial}, CPUs: []metal.CPU{{Model: clone("M")}}, Memory: metal.Memory{DIMMs: []metal.DIMM{{Part: clone("D"), Serial: serial}}},
			Disks: []metal.Disk{{Name: clone("sda"), WWID: serial}}, NICs: []metal.NIC{{Name: clone("eth0"), MAC: serial, Neighbor: &metal.Neighbor{PortID: clone("p1")}}, {}},
			PCI: []metal.PCIDevice{{Vendor: clone("8086")}},
		},
	}
}

// TestFrugalCache: what the cache holds says the same as before, without who wrote it, and what two servers have in common is there once.
func TestFrugalCache(t *testing.T) {
	var transform func(any) (any, error)
	for o, by := range frugal().ByObject {
		if _, ok := o.(*metal.ServerInventory); ok {
			transform = by.Transform
		}
	}
	var held [2]*metal.ServerInventory
	for n := range held {
		serial := fmt.Sprint("S", n)
		out, err := transform(inventoryOf(serial))
		if err != nil {
			t.Fatal(err)
		}
		held[n] = out.(*metal.ServerInventory)
		if want := inventoryOf(serial).Spec; !reflect.DeepEqual(held[n].Spec, want) || held[n].ManagedFields != nil {
			t.Errorf("it holds %+v, want %+v", held[n], want)
		}
	}
	same := func(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }
	a, b := held[0].Spec, held[1].Spec
	if !same(a.PCI[0].Vendor, b.PCI[0].Vendor) || !same(a.NICs[0].Neighbor.PortID, b.NICs[0].Neighbor.PortID) || !same(a.Memory.DIMMs[0].Part, b.Memory.DIMMs[0].Part) {
		t.Error("common words are there twice")
	}
	if same(a.System.Serial, b.System.Serial) {
		t.Error("the control: serial numbers are not shared")
	}
}

// TestWordsAreBounded: a machine that says new words all the time fills no memory, and is understood.
func TestWordsAreBounded(t *testing.T) {
	w := &words{known: map[string]string{}}
	for n := range manyWords + 100 {
		s := fmt.Sprint(n)
		if w.share(&s); s != fmt.Sprint(n) {
			t.Fatalf("%d became %q", n, s)
		}
	}
	if len(w.known) != manyWords {
		t.Errorf("%d words are remembered, at most %d are to be", len(w.known), manyWords)
	}
}
