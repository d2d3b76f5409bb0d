package claims

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/pxe-server/boot"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"  Acme   Inc.\t":            "Acme Inc.",
		"a\nb\r\nc\x00d\x1b[31m":     "a b c d [31m",
		"\xff\xfeSN\x80123":          "SN123",
		"<b>&\"'":                    "<b>&\"'",
		"Gerät\u202egnirts":          "Gerät gnirts",
		"\u00a0x\u2003y\ufeff":       "x y",
		strings.Repeat("€", 200):     strings.Repeat("€", 128),
		strings.Repeat("a ", 200):    strings.TrimSpace(strings.Repeat("a ", 64)),
		strings.Repeat("\x00", 9999): "",
	} {
		if got := Text(in, maxText); got != want {
			t.Errorf("Text(%.30q) = %q; want %q", in, got, want)
		}
	}
}

func TestIdentity(t *testing.T) {
	got := Identity(&protocol.Evidence{
		Uuid: " 4C4C4544-0035-3010-8031-C4C04F4A3132", Manufacturer: "Acme\n", Serial: "S1",
		Macs: []string{"52:54:00:AA:BB:CC", "52:54:00:aa:bb:cc", "00:00:00:00:00:00", "01:00:5e:00:00:01", "junk"}, BootMac: "52:54:00:00:00:99",
	})
	if len(got.MACs) != 1 || got.MACs[0] != "52:54:00:aa:bb:cc" || got.UUID != "4c4c4544-0035-3010-8031-c4c04f4a3132" || got.Manufacturer != "Acme" {
		t.Errorf("got %+v", got)
	}
	if only := Identity(&protocol.Evidence{BootMac: "52:54:00:00:00:99"}); len(only.MACs) != 1 {
		t.Errorf("the MAC that it booted from is all it has: %+v", only)
	}
	for name, e := range map[string]*protocol.Evidence{"nothing": nil, "a zero UUID": {Uuid: "00000000-0000-0000-0000-000000000000"}, "a placeholder": {Manufacturer: "Acme", Serial: "To be filled by O.E.M."}} {
		if Recognisable(Identity(e)) {
			t.Errorf("%s tells machines apart", name)
		}
	}
}

// fits checks what the API would refuse.
func fits(t *testing.T, name, s string, limit int) {
	t.Helper()
	if utf8.RuneCountInString(s) > limit || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%s does not fit: %q", name, s)
	}
}

// FuzzEvidence: whatever a machine says, what is stored is within the API's bounds, and cleaning it again changes nothing.
func FuzzEvidence(f *testing.F) {
	f.Add("4c4c4544-0035-3010-8031-c4c04f4a3132", "Acme", "SN1", "52:54:00:aa:bb:cc", "52:54:00:aa:bb:cc")
	f.Add("", "\xff\x00\n", "<script>", "ff:ff:ff:ff:ff:ff", "0")
	f.Add(strings.Repeat("0", 36), strings.Repeat("é ", 300), "Default string", "", "::::::::")
	f.Fuzz(func(t *testing.T, uuid, manufacturer, serial, mac, bootMAC string) {
		id := Identity(&protocol.Evidence{Uuid: uuid, Manufacturer: manufacturer, Serial: serial, Macs: []string{mac, mac}, BootMac: bootMAC})
		fits(t, "manufacturer", id.Manufacturer, maxText)
		fits(t, "serial", id.Serial, maxText)
		if id.UUID != "" && !uuidForm.MatchString(id.UUID) || len(id.MACs) > 1 || len(id.MACs) == 1 && !macForm.MatchString(id.MACs[0]) {
			t.Errorf("%+v", id)
		}
		again := Identity(&protocol.Evidence{Uuid: id.UUID, Manufacturer: id.Manufacturer, Serial: id.Serial, Macs: id.MACs})
		if again.Manufacturer != id.Manufacturer || again.Serial != id.Serial || again.UUID != id.UUID || len(again.MACs) != len(id.MACs) {
			t.Errorf("cleaned twice: %+v and %+v", id, again)
		}
		_ = Recognisable(id)
	})
}

// FuzzInventory: any message that decodes becomes an inventory within the API's bounds.
func FuzzInventory(f *testing.F) {
	for _, seed := range []*protocol.Inventory{
		{},
		{Arch: "amd64", System: &protocol.System{Serial: "a\nb"}, Disks: []*protocol.Disk{{Name: "sda", SizeBytes: -1, Contents: "x"}}},
		{Nics: []*protocol.NIC{{Mac: "AA:bb:cc:dd:ee:00", Neighbor: &protocol.Neighbor{PortId: strings.Repeat("é", 400)}}}, Addresses: []string{"::1", "fe80::1%eth0", "x"}},
		{Cpus: make([]*protocol.CPU, 70), Pci: make([]*protocol.PCIDevice, 600), Memory: &protocol.Memory{TotalBytes: -5, Dimms: make([]*protocol.DIMM, 300)}},
	} {
		for i := range seed.Cpus {
			seed.Cpus[i] = &protocol.CPU{Cores: -1}
		}
		for i := range seed.Pci {
			seed.Pci[i] = &protocol.PCIDevice{Vendor: "80866"}
		}
		if seed.Memory != nil {
			for i := range seed.Memory.Dimms {
				seed.Memory.Dimms[i] = &protocol.DIMM{Slot: "A1"}
			}
		}
		b, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in protocol.Inventory
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		out, _ := Inventory(&in)
		checkBounds(t, &out)
		if a := Addresses(in.Addresses); len(a) > maxAddresses {
			t.Errorf("%d addresses", len(a))
		}
		_ = boot.Resolve(identity.Of(&metal.Server{}, &out), nil)
	})
}

func checkBounds(t *testing.T, out *metal.ServerInventorySpec) {
	t.Helper()
	if len(out.CPUs) > maxCPUs || len(out.Memory.DIMMs) > maxDIMMs || len(out.Disks) > maxDisks || len(out.NICs) > maxNICs || len(out.PCI) > maxPCI {
		t.Error("a list is too long")
	}
	fits(t, "serial", out.System.Serial, maxText)
	fits(t, "arch", out.Arch, 16)
	if out.Memory.TotalBytes < 0 {
		t.Error("negative memory")
	}
	for _, d := range out.Disks {
		fits(t, "disk", d.Name, 64)
		fits(t, "wwid", d.WWID, 256)
		if d.SizeBytes < 0 || d.Contents == "" {
			t.Errorf("disk %+v", d)
		}
	}
	for _, n := range out.NICs {
		fits(t, "nic", n.Name, 32)
		fits(t, "mac", n.MAC, 17)
		if n.Neighbor != nil {
			fits(t, "port", n.Neighbor.PortID, 256)
		}
	}
	for _, p := range out.PCI {
		fits(t, "vendor", p.Vendor, 4)
	}
}
