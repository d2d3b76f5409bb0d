package setup_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/protocol"
)

// testLogger writes to standard error when INGOT_TEST_LOG is set: a test's own log may not be written to after it ended.
func testLogger(t *testing.T) logr.Logger {
	t.Helper()
	if os.Getenv("INGOT_TEST_LOG") == "" {
		return logr.Discard()
	}
	return funcr.New(func(prefix, args string) { _, _ = os.Stderr.WriteString(prefix + " " + args + "\n") }, funcr.Options{Verbosity: 1})
}

// TestRegister is the walking skeleton without wires: a machine enrols, reports, and is told to leave since its disk holds an operating system.
func TestRegister(t *testing.T) {
	c := start(t, nil)
	// What the pxe-server saw of the boot before the machine had a name joins its timeline.
	_, err := c.Boot.Report(t.Context(), &protocol.ReportRequest{Events: []*protocol.BootEvent{
		{BootId: "boot-register", Firmware: "uefi-pxe", Target: "Agent", Stages: []*protocol.Stage{{Stage: "DHCP", AtMicros: time.Now().UnixMicro()}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := boots(t, c, "boot-register", &agent.Evidence{Macs: []string{"02:00:00:00:01:01"}, Uuid: "11111111-2222-3333-4444-000000000101"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := m.client.Watch(ctx, &agent.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.GetWait() == nil {
		t.Fatalf("the first directive is %v, %v; want to wait", first, err)
	}
	_, err = m.client.ReportInventory(ctx, &agent.ReportInventoryRequest{Inventory: &agent.Inventory{
		Arch: "amd64", System: &agent.System{Manufacturer: "Acme", Product: "S1", Serial: "C0FFEE01", Uuid: "11111111-2222-3333-4444-000000000101"},
		Nics:      []*agent.NIC{{Name: "eth0", Mac: "02:00:00:00:01:01", PermanentMac: "02:00:00:00:01:01", PciAddress: "0000:00:03.0", Carrier: true}},
		Disks:     []*agent.Disk{{Name: "sda", SizeBytes: 1e12, Contents: "Bootable"}},
		Addresses: []string{"192.0.2.7"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for d := first; d.GetLeave() == nil; {
		if d, err = stream.Recv(); err != nil {
			t.Fatalf("waiting to be told to leave: %v", err)
		}
	}
	s := eventually(t, m.server, func(s *metal.Server) bool {
		return s.Status.Boot != nil && s.Status.Boot.Target == metal.BootTargetLocalDisk && len(s.Status.Addresses) == 1 &&
			len(s.Status.Boots) == 1 && len(s.Status.Boots[0].Stages) == 3
	})
	for i, stage := range []string{"DHCP", "Enrolled", "Inventory"} {
		if got := s.Status.Boots[0].Stages[i].Stage; got != stage {
			t.Errorf("stage %d of the boot is %s; want %s", i, got, stage)
		}
	}
	if s.Status.State != metal.StateDiscovered || !meta.IsStatusConditionTrue(s.Status.Conditions, reasons.Registered) || s.Spec.Record.ManagedBy == nil {
		t.Errorf("status %+v, record %+v", s.Status, s.Spec.Record)
	}
	v := viewWhere(t, c.Boot, func(v *protocol.View) bool { return target(v, m.server) == "LocalDisk" })
	if v.Agent.Url != "https://127.0.0.1:8443" || v.UnknownPolicy != "register-once" {
		t.Errorf("view %v", v)
	}
	again, err := boots(t, c, "boot-again", &agent.Evidence{Macs: []string{"02:00:00:00:01:01"}})
	if err != nil || again.server != m.server {
		t.Errorf("the second boot became %v, %v; want %s", again, err, m.server)
	}
}

func target(v *protocol.View, server string) string {
	for _, s := range v.Servers {
		if s.Name == server {
			return s.Target
		}
	}
	return ""
}

// TestPower drives a declared server's BMC, once for each id, however often the manifest is applied and whatever happens to status.
func TestPower(t *testing.T) {
	machine := &fakeBMC{}
	start(t, func(c *setup.Config) {
		c.OpenBMC = func(context.Context, bmc.Target) (bmc.Driver, error) { return machine, nil }
	})
	a := admin(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-power"}, StringData: map[string]string{"username": "u", "password": "p"}}
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "power"}, Spec: metal.ServerSpec{
		BMC:          &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: "192.0.2.9", CredentialsSecret: "bmc-power"},
		PowerRequest: &metal.PowerRequest{ID: "p1", Action: metal.PowerActionOn, RequestedAt: metav1.Now()},
	}}
	create(t, secret, server)
	done := func(s *metal.Server) bool {
		return s.Spec.Record != nil && s.Spec.Record.Power != nil && s.Spec.Record.Power.Step == metal.PowerDone &&
			meta.IsStatusConditionTrue(s.Status.Conditions, reasons.PowerReady) && s.Status.Power.State == metal.PowerOn
	}
	s := eventually(t, "power", done)
	s.Status = metal.ServerStatus{}
	if err := a.Status().Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "power", done)
	if got := machine.orders(); !slices.Equal(got, []bmc.PowerState{bmc.On}) {
		t.Errorf("the BMC was ordered %v; want on, once", got)
	}
}

// TestUnknownPolicy: with hold, a machine that nobody declared is refused, and a declared one is let in.
func TestUnknownPolicy(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.UnknownPolicy = "hold" })
	evidence := &agent.Evidence{Macs: []string{"02:00:00:00:02:01"}}
	if _, err := boots(t, c, "boot-hold", evidence); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an unknown machine got %v; want PermissionDenied", err)
	}
	declared := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "declared"}, Spec: metal.ServerSpec{Identity: &metal.Identity{MACs: evidence.Macs}}}
	create(t, declared)
	viewWhere(t, c.Boot, func(v *protocol.View) bool { return target(v, "declared") != "" })
	m, err := boots(t, c, "boot-hold", evidence)
	if err != nil || m.server != "declared" {
		t.Errorf("a declared machine became %v, %v", m, err)
	}
}
