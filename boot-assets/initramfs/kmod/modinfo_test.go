package kmod_test

import (
	"reflect"
	"strings"
	"testing"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
	"ingot.dev/ingot/boot-assets/initramfs/kmod/kmodtest"
)

func TestParse(t *testing.T) {
	got, err := kmod.Parse(kmodtest.Module(
		"license=GPL", "name=hid-generic", "depends=hid,usb-common", "softdep=pre: realtek crc32c post: other pre: last",
		"alias=pci:v00008086d00001521sv*sd*bc*sc*i*", "alias=fs-x", "firmware=a/b.bin", "vermagic=6.12.1 SMP", "no value",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := kmod.Info{
		Name: "hid_generic", Depends: []string{"hid", "usb_common"}, Pre: []string{"realtek", "crc32c", "last"},
		Aliases: []string{"pci:v00008086d00001521sv*sd*bc*sc*i*", "fs-x"}, Firmware: []string{"a/b.bin"}, Vermagic: "6.12.1 SMP",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseWithoutDependencies(t *testing.T) {
	got, err := kmod.Parse(kmodtest.Module("name=sd_mod", "depends="))
	if err != nil || len(got.Depends) != 0 || got.Name != "sd_mod" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := kmodtest.Module("name=x")
	if _, err := kmod.Parse(good); err != nil {
		t.Fatalf("control: %v", err)
	}
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"empty":        {nil, "as ELF"},
		"cut off":      {good[:80], "as ELF"},
		"no section":   {kmodtest.Section(".shstrtab", []byte("name=x\x00")), "no .modinfo"},
		"no name":      {kmodtest.Module("license=GPL"), "does not say its name"},
		"past the end": {good[:len(good)-1], "as ELF"},
		"huge section": {kmodtest.Section(".modinfo", make([]byte, 5<<20)), "more than"},
	} {
		if _, err := kmod.Parse(c.module); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(kmodtest.Module("name=igb", "depends=dca,i2c-algo-bit", "alias=pci:v*"))
	f.Add(kmodtest.Module("softdep=pre: post: pre:", "name="))
	f.Add(kmodtest.Section(".shstrtab", []byte("=\x00=")))
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, module []byte) {
		info, err := kmod.Parse(module)
		if err == nil && (info.Name == "" || strings.Contains(info.Name, "-")) {
			t.Errorf("accepted a module with the name %q", info.Name)
		}
	})
}
