//go:build e2e

package scenarios

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// TestWrongCable: two cables of a server are swapped. Ingot says so before anybody accepts it, to whoever asks why and to whoever is about to accept it; the control is
// the plan with the two ports as the switch really tells them.
func TestWrongCable(t *testing.T) {
	neighbor := func(port string) *rack.Neighbor {
		return &rack.Neighbor{Chassis: mac(0xff), Port: port, System: "leaf-01"}
	}
	spec := plain("k1", 0x71)
	spec.NICs = []rack.NIC{{MAC: mac(0x71), Model: qemu.VirtioNet, Neighbor: neighbor("Eth1/1")}, {MAC: mac(0x72), Model: qemu.VirtioNet, Neighbor: neighbor("Eth1/2")}}
	s := newSite(t, spec)
	s.declare("k1")
	s.plans("k1", "Eth1/2", "Eth1/1")
	s.ingot("power", "on", "k1")
	v := s.awaitServer("k1", "the swapped cables are seen", 2*bootLimit, func(v *metal.Server) bool { return cabled(v) == reasons.WrongCable })
	if v.Spec.Accepted || v.Status.State != metal.StateDiscovered {
		t.Errorf("it is %s, accepted %t: too late", v.Status.State, v.Spec.Accepted)
	}
	for _, args := range [][]string{{"why", "k1"}, {"accept", "k1", "--dry-run"}} {
		said := s.ingot(args...)
		for _, want := range []string{mac(0x71).String() + ") is plugged into leaf-01 port Eth1/1, planned is leaf-01 port Eth1/2", mac(0x72).String() + ") is plugged into leaf-01 port Eth1/2"} {
			if !strings.Contains(said, want) {
				t.Errorf("ingot %s does not say %q:\n%s", strings.Join(args, " "), want, said)
			}
		}
	}
	s.plans("k1", "Eth1/1", "Eth1/2")
	s.awaitServer("k1", "control: the right plan", bootLimit, func(v *metal.Server) bool { return cabled(v) == reasons.CabledAsPlanned })
	if said := s.ingot("accept", "k1", "--dry-run"); strings.Contains(said, "cables") {
		t.Errorf("control: ingot accept still speaks of cables: %s", said)
	}
}

// plans writes down where the two ports of the server shall be plugged in.
func (s *site) plans(name, first, second string) {
	s.t.Helper()
	v := &metal.Server{}
	if err := s.client.Get(s.t.Context(), client.ObjectKey{Name: name}, v); err != nil {
		s.t.Fatal(err)
	}
	before := v.DeepCopy()
	v.Spec.Cables = []metal.Cable{{MAC: mac(0x71).String(), Switch: "leaf-01", Port: first}, {MAC: mac(0x72).String(), Switch: "leaf-01", Port: second}}
	if err := s.client.Patch(s.t.Context(), v, client.MergeFrom(before)); err != nil {
		s.t.Fatal(err)
	}
}

// cabled is the reason of the condition, once it is more than Unknown.
func cabled(v *metal.Server) string {
	c := meta.FindStatusCondition(v.Status.Conditions, reasons.Cabled)
	if c == nil || c.Status == metav1.ConditionUnknown {
		return ""
	}
	return c.Reason
}
