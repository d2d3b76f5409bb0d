package setup_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// TestHostileInventory (T37): what is too large is refused before it is read; what is merely absurd is cut, cleaned and taken.
func TestHostileInventory(t *testing.T) {
	c := start(t, nil)
	const mac = "02:00:00:00:09:01"
	m, err := boots(t, c, "b", &agent.Evidence{Macs: []string{mac}, Manufacturer: "Acme\n\x1b[31m", Serial: "<script>alert(1)</script>\r\nX"})
	if err != nil {
		t.Fatal(err)
	}
	huge := &agent.Inventory{}
	for i := range 10000 {
		huge.Disks = append(huge.Disks, &agent.Disk{Name: fmt.Sprintf("sd%d", i), Serial: strings.Repeat("A", 64)})
	}
	if _, err := m.client.ReportInventory(t.Context(), &agent.ReportInventoryRequest{Inventory: huge}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("10,000 disks got %v; want ResourceExhausted", err)
	}
	absurd := &agent.Inventory{
		Arch:   strings.Repeat("amd64", 1000),
		System: &agent.System{Manufacturer: "a\nb\tc\x00d", Serial: "<img src=x onerror=alert(1)>", Uuid: "not a uuid"},
		Memory: &agent.Memory{TotalBytes: -1},
		Nics:   []*agent.NIC{nil, {Name: "eth0", Mac: "junk", PermanentMac: mac, PciAddress: "0000:00:01.0", SpeedMbps: -5}},
		Cpus:   []*agent.CPU{{Model: strings.Repeat("€", 4000), Cores: -1}},
	}
	for range 3000 {
		absurd.Disks = append(absurd.Disks, &agent.Disk{Name: "sda\n", Contents: "Wiped, trust me"})
	}
	if _, err := m.client.ReportInventory(t.Context(), &agent.ReportInventoryRequest{Inventory: absurd}); err != nil {
		t.Fatal(err)
	}
	var got metal.ServerInventory
	if err := admin(t).Get(t.Context(), client.ObjectKey{Name: m.server}, &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Spec.Disks); n != 256 || got.Spec.Disks[0].Contents != metal.DiskUnreadable || got.Spec.Disks[0].Name != "sda" {
		t.Errorf("%d disks, the first %+v", n, got.Spec.Disks[0])
	}
	if s := got.Spec.System; s.Manufacturer != "a b c d" || s.UUID != "" || got.Spec.Memory.TotalBytes != 0 || got.Spec.CPUs[0].Cores != 0 {
		t.Errorf("system %+v, memory %+v", s, got.Spec.Memory)
	}
	var server metal.Server
	if err := admin(t).Get(t.Context(), client.ObjectKey{Name: m.server}, &server); err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(server.Spec); strings.ContainsAny(string(text), "\n\r\x1b") || len(server.Labels) != 0 {
		t.Errorf("control characters or labels got through: %s %v", text, server.Labels)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := admin(t).Watch(ctx, &eventsv1.EventList{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if event, ok := e.Object.(*eventsv1.Event); ok && event.Regarding.Name == m.server && event.Reason == reasons.InventoryTruncated {
			return
		}
	}
	t.Error("no event tells that the inventory was cut")
}
