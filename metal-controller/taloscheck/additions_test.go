package taloscheck_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machineconfig"
	"ingot.dev/ingot/metal-controller/taloscheck"
	"ingot.dev/ingot/metal-controller/taloscheck/talosconfigtest"
)

// TestAdditionsPass: whatever a class can set, what Ingot makes of a config of Talos' own tools is a config that Talos takes.
func TestAdditionsPass(t *testing.T) {
	on, off := true, false
	kinds := []string{"worker", "controlplane"}
	made := 0
	for _, kind := range kinds {
		base := talosconfigtest.Generate(t, kind)
		for _, hostname := range []metal.HostnameSource{"", metal.HostnameServer, metal.HostnameClaim, metal.HostnameKeep} {
			for _, mesh := range []*bool{nil, &on, &off} {
				for _, rest := range []*bool{nil, &on, &off} {
					if mesh == &on && rest == &off {
						continue // the API refuses a mesh without discovery
					}
					settings := &metal.TalosSettings{Hostname: hostname, KubeSpan: mesh, KubePrism: rest, Discovery: rest}
					if err := passes(base, settings); err != nil {
						t.Errorf("%s %s %v %v: %v", kind, hostname, mesh, rest, err)
					}
					made++
				}
			}
		}
		if err := passes(base, &metal.TalosSettings{KubeSpan: &on, Discovery: &off}); err == nil {
			t.Error("control: a mesh without discovery passes")
		}
	}
	if made != len(kinds)*4*8 {
		t.Errorf("control: %d configs were made", made)
	}
}

// passes makes a config for a server with disks and a place, and checks it.
func passes(base []byte, settings *metal.TalosSettings) error {
	f := machineconfig.Facts{
		Class:     &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "large"}, Spec: metal.ServerClassSpec{Talos: settings, InstallDisk: &metal.InstallDisk{Transports: []string{"nvme", "virtio"}}}},
		Claim:     &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web-0"}},
		Server:    &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "rack1-01"}, Spec: metal.ServerSpec{Location: &metal.Location{Site: "Berlin, 1", Rack: "r/1", Unit: 3}}},
		Inventory: &metal.ServerInventorySpec{Disks: disks}, Installer: "factory.example/metal-installer/0000:v1.13.0",
		Events: "192.0.2.1:7447", KernelLog: "tcp://[2001:db8::1]:7448",
	}
	for _, d := range disks {
		f.Server.Status.Disks = append(f.Server.Status.Disks, metal.DiskStatus{DiskID: metal.DiskID{WWID: d.WWID, Serial: d.Serial}, Name: d.Name, Verdict: metal.DiskOwn})
	}
	r, err := machineconfig.Make(base, f)
	if err != nil {
		return fmt.Errorf("making it: %w", err)
	}
	return taloscheck.Check(taloscheck.Request{Config: r.Bytes(), Version: "v1.13.0", Server: f.Server, Inventory: f.Inventory})
}
