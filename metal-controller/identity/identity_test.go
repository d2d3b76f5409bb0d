package identity_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/pxe-server/boot"
)

func TestOf(t *testing.T) {
	inventory := &metal.ServerInventorySpec{
		System: metal.SystemInfo{Manufacturer: "Acme", Serial: "REAL", UUID: "AAAA"},
		NICs: []metal.NIC{
			{MAC: "02:00:00:00:00:0A", PermanentMAC: "02:00:00:00:00:01", PCIAddress: "0000:00:01.0"},
			{MAC: "02:00:00:00:00:02", PCIAddress: "0000:00:02.0"},
			{MAC: "02:00:00:00:00:03", PermanentMAC: "02:00:00:00:00:03"}, // a USB adapter
		},
	}
	declared := &metal.Server{Spec: metal.ServerSpec{Identity: &metal.Identity{MACs: []string{"02:00:00:00:00:02"}, Manufacturer: "Other", Serial: "DECLARED"}}}
	for name, c := range map[string]struct {
		server    *metal.Server
		inventory *metal.ServerInventorySpec
		want      boot.Identity
	}{
		"nothing":       {&metal.Server{}, nil, boot.Identity{}},
		"declared only": {declared, nil, boot.Identity{MACs: []string{"02:00:00:00:00:02"}, Manufacturer: "Other", Serial: "DECLARED"}},
		"reported only": {&metal.Server{}, inventory, boot.Identity{MACs: []string{"02:00:00:00:00:01", "02:00:00:00:00:02"}, Manufacturer: "Acme", Serial: "REAL", UUID: "aaaa"}},
		"both":          {declared, inventory, boot.Identity{MACs: []string{"02:00:00:00:00:02", "02:00:00:00:00:01"}, Manufacturer: "Other", Serial: "DECLARED", UUID: "aaaa"}},
	} {
		got := identity.Of(c.server, c.inventory)
		if !slices.Equal(got.MACs, c.want.MACs) || got.Manufacturer != c.want.Manufacturer || got.Serial != c.want.Serial || got.UUID != c.want.UUID {
			t.Errorf("%s: %+v; want %+v", name, got, c.want)
		}
	}
	if len(declared.Spec.Identity.MACs) != 1 {
		t.Error("the Server was changed")
	}
}

func TestTable(t *testing.T) {
	servers := []metal.Server{
		{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: metal.ServerSpec{Accepted: true}, Status: metal.ServerStatus{Boot: &metal.BootStatus{Target: metal.BootTargetLocalDisk, ID: "x"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: metal.ServerSpec{Record: managed("elsewhere")}, Status: metal.ServerStatus{Boot: &metal.BootStatus{Target: metal.BootTargetAgent, ID: "y"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: metal.ServerSpec{Record: managed("here")}, Status: metal.ServerStatus{Boot: &metal.BootStatus{Target: metal.BootTargetAgent, ID: "y"}}},
	}
	got := identity.Table(servers, []metal.ServerInventory{{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, {ObjectMeta: metav1.ObjectMeta{Name: "gone"}}}, "here")
	if len(got) != 4 || got[0].Name != "a" || got[1].Name != "b" {
		t.Fatalf("%+v", got)
	}
	if a := got[0]; a.Registered || a.Accepted || a.Target != boot.Idle {
		t.Errorf("undecided: %+v", a)
	}
	if b := got[1]; !b.Registered || !b.Accepted || b.Target != boot.LocalDisk || b.BootID != "x" {
		t.Errorf("decided: %+v", b)
	}
	if c := got[2]; c.Target != boot.NoAnswer || c.BootID != "" {
		t.Errorf("another installation's: %+v", c)
	}
	if d := got[3]; d.Target != boot.Agent || d.BootID != "y" {
		t.Errorf("control: its own: %+v", d)
	}
}

func managed(by string) *metal.ServerRecord {
	return &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: by, Epoch: 1}}
}
