//go:build e2e

package scenarios

import (
	"fmt"
	"os"
	"strings"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// armFactor is how much longer an arm64 server may take than an amd64 one: its firmware waits longer for the network, and it is emulated on a host of another kind.
const armFactor = 2

// arm64 makes an arm64 server of another.
func arm64(s rack.Spec) rack.Spec {
	s.Arch, s.MemoryMiB = qemu.ARM64, 1024
	return s
}

// TestRegisterARM64: one `ingot up` serves both architectures. An arm64 server netboots by UEFI PXE, another by UEFI HTTP boot, both into the agent for arm64, beside an
// amd64 server that gets its own; what they report equals what QEMU was given. The first one is accepted, wiped and Available.
func TestRegisterARM64(t *testing.T) {
	image := os.Getenv("INGOT_AGENT_IMAGE_ARM64")
	if image == "" {
		t.Fatal("INGOT_AGENT_IMAGE_ARM64 names no folder: run `make e2e RUN=TestRegisterARM64`")
	}
	spec, http, other := arm64(full("r1", 0x71)), arm64(plain("h1", 0x72)), plain("x1", 0x73)
	spec.Manufacturer, spec.Product, spec.Serial, spec.SKU, spec.Family = "Acme", "Rack 1U", "ACME0001", "SKU-7", "Racks"
	spec.Board = rack.Board{Manufacturer: "Acme Boards", Product: "B1", Serial: "BOARD001", AssetTag: "asset-0001"}
	spec.CPUs = 2
	spec.NICs = append(spec.NICs, rack.NIC{MAC: mac(0x74), Model: qemu.E1000e})
	http.HTTPBoot = true
	s := newSiteWith(t, []string{"--agent-image", image}, spec, http, other)
	s.step("UEFI PXE", func(t *testing.T) { s.registerArm(t, spec, "uefi-pxe") })
	s.step("accepted, wiped, Available", func(t *testing.T) { s.wipeArm(t, spec) })
	s.step("UEFI HTTP boot", func(t *testing.T) {
		s.registerArm(t, http, "uefi-http")
		s.ingot("power", "off", "h1")
	})
	s.step("amd64 beside it", func(t *testing.T) {
		s.register("x1")
		if i := s.inventory("x1").Spec; i.Arch != "amd64" || !strings.HasSuffix(i.Agent.Kernel, "-amd64") {
			t.Errorf("its architecture is %s, its kernel %s", i.Arch, i.Agent.Kernel)
		}
	})
}

// registerArm switches an arm64 server on and compares what it reports.
func (s *site) registerArm(t *testing.T, spec rack.Spec, firmware string) {
	s.declare(spec.Name)
	s.ingot("power", "on", spec.Name)
	v := s.awaitServer(spec.Name, "it registers", armFactor*bootLimit, discovered)
	i := s.inventory(spec.Name).Spec
	checkInventory(t, spec, &i)
	if !strings.HasSuffix(i.Agent.Kernel, "-arm64") {
		t.Errorf("its kernel is %s", i.Agent.Kernel)
	}
	if len(v.Status.Boots) == 0 || v.Status.Boots[0].Firmware != firmware {
		t.Errorf("the boot's timeline is %+v, want one of %s", v.Status.Boots, firmware)
	}
}

// wipeArm accepts the server, whose disks hold data, and looks into their images once it is Available.
func (s *site) wipeArm(t *testing.T, spec rack.Spec) {
	own := s.images(spec.Name, len(spec.Disks))
	wantMarks(t, true, own...)
	fmt.Print(s.ingot("accept", spec.Name, "--wipe-data", "--yes"))
	v := s.awaitServer(spec.Name, "it is Available", armFactor*wipeLimit, available)
	if s.machine(spec.Name).PID() != 0 {
		t.Error("the server is Available, and QEMU still runs")
	}
	wantMarks(t, false, own...)
	if w := v.Spec.Record.Wipe; w.VerifiedAt == nil || w.Receipt == nil || len(w.Receipt.Disks) != len(spec.Disks) {
		t.Errorf("the record of the wipe is %+v", w)
	}
	if v.Status.Power.State != metal.PowerOff {
		t.Errorf("its power is %s", v.Status.Power.State)
	}
}
