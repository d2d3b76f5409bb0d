//go:build e2e

package scenarios

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/rack/testos"
)

// TestRegisterUEFIRedfish: power on through the BMC → OVMF PXE → iPXE → agent → a Server and an inventory that equal what QEMU was given.
func TestRegisterUEFIRedfish(t *testing.T) {
	spec := rack.Spec{
		Name: "r1", UUID: "c0ffee00-1111-4222-8333-444455556666",
		Manufacturer: "Acme", Product: "Rack 1U", Serial: "ACME0001", SKU: "SKU-7", Family: "Racks",
		Board: rack.Board{Manufacturer: "Acme Boards", Product: "B1", Serial: "BOARD001", AssetTag: "asset-0001"},
		CPUs:  2, MemoryMiB: 1024,
		Disks: []rack.Disk{
			{Kind: qemu.NVMe, SizeBytes: 1 << 30, Serial: "NV0001"},
			{Kind: qemu.Virtio, SizeBytes: 512 << 20, Serial: "VI0001"},
			{Kind: qemu.SATA, SizeBytes: 256 << 20, Serial: "SA0001", WWN: 0x5000c500a1b2c3d4, Rotational: true},
			{Kind: qemu.SCSI, SizeBytes: 128 << 20, Serial: "SC0001", WWN: 0x5000c500a1b2c3d5},
		},
		NICs: []rack.NIC{
			{MAC: mac(1), Model: qemu.VirtioNet, Neighbor: &rack.Neighbor{Chassis: mac(0xff), Port: "Eth1/7", System: "leaf-01"}},
			{MAC: mac(2), Model: qemu.E1000e},
		},
		Firmware: qemu.UEFI,
	}
	s := newSite(t, spec)
	bmc := s.declare("r1")
	s.awaitServer("r1", "the BMC reads Off before anybody switched it on", bootLimit, func(v *metal.Server) bool {
		return v.Status.Power != nil && v.Status.Power.State == metal.PowerOff && v.Status.State == metal.StateUnverified
	})
	if pid := s.machine("r1").PID(); pid != 0 {
		t.Fatalf("QEMU runs (pid %d) before anybody switched the server on", pid)
	}
	fmt.Print(s.ingot("power", "on", "r1"))
	if s.machine("r1").PID() == 0 {
		t.Error("`ingot power on` said done, and QEMU does not run")
	}
	v := s.awaitServer("r1", "it registers", bootLimit, discovered)
	inventory := s.inventory("r1")
	checkInventory(t, spec, &inventory.Spec)
	if v.Status.Power.State != metal.PowerOn || v.Status.Power.ObservedAt == nil {
		t.Errorf("power status is %+v", v.Status.Power)
	}
	if len(v.Status.Boots) == 0 || v.Status.Boots[0].Firmware != "uefi-pxe" {
		t.Errorf("the boot's timeline is %+v, want one of uefi-pxe", v.Status.Boots)
	}
	var orders []string
	for _, r := range bmc.Requests() {
		if r.Method == http.MethodPatch || r.Method == http.MethodPost && strings.HasSuffix(r.Path, "ComputerSystem.Reset") {
			orders = append(orders, r.Method)
		}
	}
	if !slices.Equal(orders, []string{http.MethodPatch, http.MethodPost}) {
		t.Errorf("the BMC was ordered %v; want the next boot from the network, then on", orders)
	}
	s.await(bootLimit, "the switch port is heard", func() bool {
		n := s.inventory("r1").Spec.NICs
		return slices.ContainsFunc(n, func(n metal.NIC) bool {
			return n.Neighbor != nil && n.Neighbor.PortID == "Eth1/7" && n.Neighbor.SystemName == "leaf-01"
		})
	})
	why := s.ingot("why", "r1")
	for _, want := range []string{"Discovered", "NotAccepted", "On, as the BMC said"} {
		if !strings.Contains(why, want) {
			t.Errorf("`ingot why` lacks %q:\n%s", want, why)
		}
	}
	s.powerOffAndOn(t)
}

// powerOffAndOn cycles the server of the test above and checks QEMU itself.
func (s *site) powerOffAndOn(t *testing.T) {
	before := s.machine("r1").PID()
	s.ingot("power", "cycle", "r1")
	if after := s.machine("r1").PID(); after == 0 || after == before {
		t.Errorf("after a cycle QEMU's pid is %d, before it was %d", after, before)
	}
	s.ingot("power", "off", "r1")
	if pid := s.machine("r1").PID(); pid != 0 {
		t.Errorf("after `power off` QEMU still runs as pid %d", pid)
	}
}

func mac(last byte) net.HardwareAddr { return net.HardwareAddr{0x52, 0x54, 0, 0xe2, 0xe, last} }

// checkInventory compares field by field with what QEMU was given.
func checkInventory(t *testing.T, want rack.Spec, got *metal.ServerInventorySpec) {
	t.Helper()
	same := func(field string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %v, QEMU was given %v", field, got, want)
		}
	}
	same("arch", got.Arch, string(cmp.Or(want.Arch, qemu.AMD64)))
	same("system.uuid", got.System.UUID, want.UUID)
	same("system.manufacturer", got.System.Manufacturer, want.Manufacturer)
	same("system.product", got.System.Product, want.Product)
	same("system.serial", got.System.Serial, want.Serial)
	same("system.sku", got.System.SKU, want.SKU)
	same("system.family", got.System.Family, want.Family)
	same("baseboard.manufacturer", got.Baseboard.Manufacturer, want.Board.Manufacturer)
	same("baseboard.product", got.Baseboard.Product, want.Board.Product)
	same("baseboard.serial", got.Baseboard.Serial, want.Board.Serial)
	same("chassis.assetTag", got.Chassis.AssetTag, want.Board.AssetTag)
	same("firmware.mode", got.Firmware.Mode, metal.BootModeUEFI)
	same("firmware.secureBoot", got.Firmware.SecureBoot, false)
	same("tpm.present", got.TPM.Present, false)
	same("memory.totalBytes", got.Memory.TotalBytes, int64(want.MemoryMiB)<<20)
	threads := int32(0)
	for _, c := range got.CPUs {
		threads += c.Threads
	}
	same("threads of all CPUs", threads, int32(want.CPUs))
	checkDisks(t, want, got.Disks)
	checkNICs(t, want, got.NICs)
	if len(got.PCI) == 0 {
		t.Error("no PCI devices")
	}
	if got.Agent.Version == "" || got.Agent.Kernel == "" || got.Agent.BootID == "" || got.Agent.Proven != 0 {
		t.Errorf("agent is %+v; want version, kernel and boot id, and no proof", got.Agent)
	}
}

// checkDisks wants every disk blank but those that were given something to hold.
func checkDisks(t *testing.T, want rack.Spec, got []metal.Disk) {
	t.Helper()
	if len(got) != len(want.Disks) {
		t.Errorf("%d disks, QEMU was given %d: %+v", len(got), len(want.Disks), got)
	}
	transports := map[qemu.DiskKind]string{qemu.NVMe: "nvme", qemu.Virtio: "virtio", qemu.SATA: "sata", qemu.SCSI: "scsi"}
	for _, w := range want.Disks {
		i := slices.IndexFunc(got, func(d metal.Disk) bool { return d.Serial == w.Serial })
		if i < 0 {
			t.Errorf("no disk with serial %s in %+v", w.Serial, got)
			continue
		}
		d := got[i]
		if d.SizeBytes != w.SizeBytes || d.Transport != transports[w.Kind] || d.Removable || (d.Contents == metal.DiskBlank) != (w.Fill == nil) {
			t.Errorf("disk %s is %+v, QEMU was given %+v", w.Serial, d, w)
		}
		if d.Rotational != w.Rotational && w.Kind != qemu.Virtio { // virtio-blk has no such property, and Linux says rotational
			t.Errorf("disk %s: rotational is %v, QEMU was given %v", w.Serial, d.Rotational, w.Rotational)
		}
		if w.WWN != 0 && !strings.Contains(d.WWID, fmt.Sprintf("%016x", w.WWN)) {
			t.Errorf("disk %s has WWID %q, QEMU was given %016x", w.Serial, d.WWID, w.WWN)
		}
	}
}

func checkNICs(t *testing.T, want rack.Spec, got []metal.NIC) {
	t.Helper()
	if len(got) != len(want.NICs) {
		t.Errorf("%d NICs, QEMU was given %d: %+v", len(got), len(want.NICs), got)
	}
	drivers := map[qemu.NICModel]string{qemu.VirtioNet: "virtio_net", qemu.E1000e: "e1000e"}
	for _, w := range want.NICs {
		i := slices.IndexFunc(got, func(n metal.NIC) bool { return n.PermanentMAC == w.MAC.String() })
		if i < 0 {
			t.Errorf("no NIC with permanent MAC %s in %+v", w.MAC, got)
			continue
		}
		if n := got[i]; n.Driver != drivers[w.Model] || !n.Carrier || n.PCIAddress == "" {
			t.Errorf("NIC %s is %+v, QEMU was given %s", w.MAC, n, w.Model)
		}
	}
}

// TestRegisterUEFIHTTPBoot: the firmware itself loads the first stage over HTTP.
func TestRegisterUEFIHTTPBoot(t *testing.T) {
	spec := plain("h1", 0x11)
	spec.HTTPBoot = true
	s := newSite(t, spec)
	s.declare("h1")
	s.ingot("power", "on", "h1")
	v := s.awaitServer("h1", "it registers", bootLimit, discovered)
	if len(v.Status.Boots) == 0 || v.Status.Boots[0].Firmware != "uefi-http" {
		t.Errorf("the boot's timeline is %+v, want one of uefi-http", v.Status.Boots)
	}
	checkDisks(t, spec, s.inventory("h1").Spec.Disks)
}

// TestHostileStrings: what SMBIOS says reaches a boot script, a kernel line, logs and the API, and is only text everywhere.
func TestHostileStrings(t *testing.T) {
	spec := plain("x1", 0x51)
	spec.Serial = "S#1 ${net0/mac} || shell ; poweroff & <b>"
	spec.Product = "a\\nb \"c\" 'd' `e` $(f) %s ../../x"
	s := newSite(t, spec)
	if err := s.machine("x1").PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await(bootLimit, "it registers", func() bool { return len(s.inventories()) == 1 })
	i := s.inventories()[0]
	if i.Spec.System.Serial != spec.Serial || i.Spec.System.Product != spec.Product {
		t.Errorf("serial %q and product %q, QEMU was given %q and %q", i.Spec.System.Serial, i.Spec.System.Product, spec.Serial, spec.Product)
	}
	if !strings.HasPrefix(i.Name, "srv-") {
		t.Errorf("its name is %q: names are never derived from hardware", i.Name)
	}
	v := s.awaitServer(i.Name, "its boot is known by its script", bootLimit, func(v *metal.Server) bool { return len(v.Status.Boots) == 1 })
	if v.Status.Boots[0].ID != i.Spec.Agent.BootID {
		t.Errorf("the boot is %q, the agent says %q", v.Status.Boots[0].ID, i.Spec.Agent.BootID)
	}
}

// TestUnknownIsNotCaptured: a machine with an operating system, which nobody declared, registers once and then boots its disk; no byte of it changes.
func TestUnknownIsNotCaptured(t *testing.T) {
	spec := plain("u1", 0x21)
	spec.Disks[0].Fill = testos.Write
	s := newSite(t, spec)
	m := s.machine("u1")
	disk := m.File(qemu.ImageFile(0))
	before := digest(t, disk)
	if err := m.PowerOn(t.Context()); err != nil { // a person at the rack
		t.Fatal(err)
	}
	s.await(2*bootLimit, "the machine boots its own disk", func() bool { return strings.Contains(s.serial("u1"), testos.Banner) })
	all := s.inventories()
	if len(all) != 1 {
		t.Fatalf("%d inventories, want the one of the machine", len(all))
	}
	if d := all[0].Spec.Disks; len(d) != 1 || d[0].Serial != spec.Disks[0].Serial || d[0].Contents != metal.DiskBootable { // control: the agent saw the disk
		t.Errorf("the inventory's disks are %+v", d)
	}
	agents := strings.Count(s.serial("u1"), "Linux version")
	if agents != 1 {
		t.Errorf("the agent's kernel started %d times, want once", agents)
	}
	if err := m.ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await(bootLimit, "the machine boots its own disk again", func() bool { return strings.Count(s.serial("u1"), testos.Banner) == 2 })
	if n := strings.Count(s.serial("u1"), "Linux version"); n != agents {
		t.Errorf("a later boot ran the agent again: %d starts of its kernel", n)
	}
	if err := m.ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := digest(t, disk); after != before {
		t.Errorf("the disk's image changed: %s, before it was %s", after, before)
	}
	if servers := s.ingot("get", "servers", "-o", "name"); strings.Count(servers, "\n") != 1 {
		t.Errorf("want one Server, got:\n%s", servers)
	}
}

func digest(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestDuplicateUUID: machines that share a UUID, or have none, become Servers of their own.
func TestDuplicateUUID(t *testing.T) {
	same1, same2, zero1, zero2 := plain("d1", 0x31), plain("d2", 0x32), plain("d3", 0x33), plain("d4", 0x34)
	same2.UUID = same1.UUID
	zero1.UUID, zero2.UUID = "", ""
	specs := []rack.Spec{same1, same2, zero1, zero2}
	s := newSite(t, specs...)
	for _, m := range s.rack.Servers() {
		if err := m.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.await(4*bootLimit, "four machines register", func() bool { return len(s.inventories()) == 4 })
	seen := map[string]string{}
	for _, i := range s.inventories() {
		if len(i.Spec.NICs) != 1 {
			t.Fatalf("inventory %s has NICs %+v", i.Name, i.Spec.NICs)
		}
		seen[i.Spec.NICs[0].PermanentMAC] = i.Name
	}
	for _, spec := range specs {
		if seen[spec.NICs[0].MAC.String()] == "" {
			t.Errorf("no Server for %s; there are %v", spec.NICs[0].MAC, seen)
		}
	}
}

// TestControlPlaneRestart: `ingot up` is killed while a machine waits; nothing is lost, the machine is not restarted, and it is not registered twice.
func TestControlPlaneRestart(t *testing.T) {
	s := newSite(t, plain("c1", 0x41))
	s.declare("c1")
	s.ingot("power", "on", "c1")
	before := s.awaitServer("c1", "it registers", bootLimit, discovered)
	pid := s.machine("c1").PID()
	s.stopUp(syscall.SIGKILL)
	s.startUp()
	after := s.awaitServer("c1", "it is still known, and its BMC is read again", bootLimit, func(v *metal.Server) bool {
		return discovered(v) && v.Status.Power.ObservedAt.After(before.Status.Power.ObservedAt.Time)
	})
	if after.UID != before.UID {
		t.Error("the Server is another object than before")
	}
	reported := s.inventory("c1").Spec.ReportedAt
	s.ingot("power", "cycle", "c1")
	s.await(bootLimit, "the machine registers again under its name", func() bool { return s.inventory("c1").Spec.ReportedAt.After(reported.Time) })
	if s.machine("c1").PID() == pid {
		t.Error("the machine was not cycled")
	}
	if servers := s.ingot("get", "servers", "-o", "name"); strings.Count(servers, "\n") != 1 {
		t.Errorf("want one Server, got:\n%s", servers)
	}
}
