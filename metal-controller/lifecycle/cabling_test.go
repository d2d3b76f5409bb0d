package lifecycle_test

import (
	"strings"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestCabling: what a person planned against what the agent heard. The message names the port, where it is and where it shall be.
func TestCabling(t *testing.T) {
	leaf := func(port string) *metal.Neighbor {
		return &metal.Neighbor{ChassisID: "00:11:22:33:44:55", SystemName: "leaf-01", PortID: port, PortDescription: "to rack1-07"}
	}
	nic := func(name, mac string, n *metal.Neighbor) metal.NIC {
		return metal.NIC{Name: name, MAC: "02:00:00:00:00:99", PermanentMAC: mac, Neighbor: n}
	}
	const a, b = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
	plan := []metal.Cable{{MAC: a, Switch: "leaf-01", Port: "Eth1/1"}, {MAC: b, Switch: "leaf-01", Port: "Eth1/2"}}
	for name, c := range map[string]struct {
		plan   []metal.Cable
		nics   []metal.NIC
		status lifecycle.Status
		reason string
		words  []string
	}{
		"as planned":          {plan, []metal.NIC{nic("eth0", a, leaf("Eth1/1")), nic("eth1", b, leaf("Eth1/2"))}, lifecycle.True, reasons.CabledAsPlanned, nil},
		"names in other ways": {[]metal.Cable{{MAC: a, Switch: "00:11:22:33:44:55", Port: "TO RACK1-07"}}, []metal.NIC{nic("eth0", strings.ToUpper(a), leaf("x"))}, lifecycle.True, reasons.CabledAsPlanned, nil},
		"no permanent one":    {[]metal.Cable{{MAC: "02:00:00:00:00:99", Switch: "leaf-01", Port: "Eth1/1"}}, []metal.NIC{nic("eth0", "", leaf("Eth1/1"))}, lifecycle.True, reasons.CabledAsPlanned, nil},
		"swapped": {
			plan,
			[]metal.NIC{nic("eth0", a, leaf("Eth1/2")), nic("eth1", b, leaf("Eth1/1"))},
			lifecycle.False, reasons.WrongCable,
			[]string{"Eth0 (" + a + ") is plugged into leaf-01 port Eth1/2, planned is leaf-01 port Eth1/1", "eth1 (" + b + ") is plugged into leaf-01 port Eth1/1"},
		},
		"another switch": {plan[:1], []metal.NIC{nic("eth0", a, &metal.Neighbor{ChassisID: "c", PortID: "Eth1/1"})}, lifecycle.False, reasons.WrongCable, []string{"plugged into c port Eth1/1"}},
		"no such port":   {plan[:1], []metal.NIC{nic("eth1", b, leaf("Eth1/1"))}, lifecycle.False, reasons.WrongCable, []string{"The server has no port " + a}},
		"silent":         {plan[:1], []metal.NIC{nic("eth0", a, nil)}, lifecycle.Unknown, reasons.NeighborSilent, []string{"eth0 (" + a + "), planned for leaf-01 port Eth1/1"}},
		"one wrong, one silent": {
			plan, []metal.NIC{nic("eth0", a, nil), nic("eth1", b, leaf("Eth9"))}, lifecycle.False, reasons.WrongCable, []string{"Eth1 (" + b + ")"},
		},
		"nothing planned": {nil, []metal.NIC{nic("eth0", a, leaf("Eth1/1"))}, "", "", nil},
	} {
		server := &metal.Server{Spec: metal.ServerSpec{Cables: c.plan}}
		p := lifecycle.Decide(lifecycle.Observation{Now: epoch, Server: server, Inventory: &metal.ServerInventorySpec{NICs: c.nics}, Installation: "here"})
		got := conditionOf(p, reasons.Cabled)
		if got.Status != c.status || got.Reason != c.reason {
			t.Errorf("%s: %+v", name, got)
		}
		if ready := conditionOf(p, reasons.Ready); (ready.Reason == reasons.WrongCable) != (c.reason == reasons.WrongCable) {
			t.Errorf("%s: before the yes it says %+v", name, ready)
		}
		for _, w := range c.words {
			if !strings.Contains(got.Message, w) {
				t.Errorf("%s: %q does not say %q", name, got.Message, w)
			}
		}
	}
	waiting := lifecycle.Decide(lifecycle.Observation{Now: epoch, Server: &metal.Server{Spec: metal.ServerSpec{Cables: plan}}})
	if got := conditionOf(waiting, reasons.Cabled); got.Status != lifecycle.Unknown || got.Reason != reasons.NotRegistered {
		t.Errorf("without an inventory: %+v", got)
	}
}

func conditionOf(p lifecycle.Plan, typ string) (found lifecycle.Condition) {
	for _, c := range p.Conditions {
		if c.Type == typ {
			found = c
		}
	}
	return found
}
