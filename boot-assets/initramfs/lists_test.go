package initramfs

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestDeviceLine(t *testing.T) {
	var lists Lists
	for _, line := range []string{
		"8086:1521 020000 igb Intel I350, on board",
		"9005:028f/103c:0602  010400\tsmartpqi HPE P408i-a",
		"103c:3302 0c0701 ipmi_si HPE iLO",
	} {
		if err := lists.device(line); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, d := range lists.Devices {
		got = append(got, d.Modalias()+" "+d.Driver+" "+d.Product)
	}
	want := []string{
		"pci:v00008086d00001521sv00000000sd00000000bc02sc00i00 igb Intel I350, on board",
		"pci:v00009005d0000028Fsv0000103Csd00000602bc01sc04i00 smartpqi HPE P408i-a",
		"pci:v0000103Cd00003302sv00000000sd00000000bc0Csc07i01 ipmi_si HPE iLO",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestModuleLine(t *testing.T) {
	lists := Lists{Provides: map[string]string{}}
	for _, line := range []string{"load sd_mod ipmi-si", "pack virtio_net", "softdep crc32c crc32c-generic"} {
		if err := lists.module(line); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(lists.Always, []string{"sd_mod", "ipmi_si"}) || !slices.Equal(lists.Modules, []string{"sd_mod", "ipmi_si", "virtio_net"}) ||
		!reflect.DeepEqual(lists.Provides, map[string]string{"crc32c": "crc32c_generic"}) {
		t.Errorf("got %+v", lists)
	}
}

func TestListLinesRefuse(t *testing.T) {
	lists := Lists{Provides: map[string]string{}, LeftOut: map[string]string{}}
	for name, err := range map[string]error{
		"device without product": lists.device("8086:1521 020000 igb"),
		"device upper case":      lists.device("8086:15AB 020000 igb Intel"),
		"device short class":     lists.device("8086:1521 0200 igb Intel"),
		"module unknown word":    lists.module("take igb"),
		"module without name":    lists.module("load"),
		"softdep without module": lists.module("softdep crc32c"),
		"firmware no reason":     lists.firmware("phanfw.bin"),
		"firmware blank reason":  lists.firmware("phanfw.bin  "),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	err := eachLine("# comment\n\n8086:1521 020000 igb Intel\nbad\n", "amd64", lists.device)
	if err == nil || !strings.Contains(err.Error(), "line 4") || len(lists.Devices) != 1 {
		t.Errorf("got %v and %d devices, want an error of line 4 and one", err, len(lists.Devices))
	}
}

// A section is for one architecture, and what stands before the first is for all.
func TestSections(t *testing.T) {
	const text = "all\n[amd64]\none\n[arm64]\ntwo\n[amd64]\nthree\n"
	for arch, want := range map[string]string{"amd64": "all one three", "arm64": "all two", "": "all [amd64] one [arm64] two [amd64] three"} {
		var got []string
		if err := eachLine(text, arch, func(line string) error { got = append(got, line); return nil }); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v; want %q", arch, got, err, want)
		}
	}
	if err := eachLine("[m68k]\n", "amd64", func(string) error { return nil }); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("an architecture that nobody builds: %v", err)
	}
}

// The lists that are compiled in are well formed, name nothing twice, and cover what DESIGN promises, for each architecture.
func TestCheckedInLists(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) { checkedIn(t, arch) })
	}
}

func checkedIn(t *testing.T, arch string) {
	lists, err := ReadLists(arch)
	if err != nil {
		t.Fatal(err)
	}
	if len(lists.Devices) < 150 {
		t.Errorf("%d devices, want 150 or more", len(lists.Devices))
	}
	seen := map[string]string{}
	for _, d := range lists.Devices {
		if other := seen[d.Modalias()]; other != "" {
			t.Errorf("%s stands there twice: %s and %s", d.Modalias(), other, d.Product)
		}
		seen[d.Modalias()] = d.Product
	}
	for _, fabric := range []string{"qla2xxx", "lpfc", "bfa", "fnic"} {
		if slices.Contains(lists.roots(), fabric) {
			t.Errorf("%s drives disks of a fabric, which Ingot never touches", fabric)
		}
	}
	packages, err := locked(arch)
	kernels := 0
	for _, p := range packages {
		if strings.HasPrefix(p.Name, "linux-image-") && strings.HasSuffix(p.Name, "-"+arch) {
			kernels++
		} else if p.Arch != "all" {
			t.Errorf("%+v is taken for %s", p, arch)
		}
	}
	if err != nil || kernels != 1 || len(packages) < 2 {
		t.Errorf("packages.lock: %v, %v", packages, err)
	}
}
