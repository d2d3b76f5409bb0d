package httpboot

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"ingot.dev/ingot/pxe-server/boot"
)

func TestParseQuery(t *testing.T) {
	got, err := parseQuery("uuid=11111111-2222-3333-4444-55555555AAAA&mac=52-54-00-78-00-0A&serial=SN%2001+%237&manufacturer=QEMU%20%26%20Co&product=%20Lab%0a&arch=x86_64&platform=efi&try=0")
	if err != nil {
		t.Fatal(err)
	}
	want := asked{mac: "52:54:00:78:00:0a", product: "Lab"}
	want.Request = boot.Request{
		Identity: boot.Identity{MACs: []string{"52:54:00:78:00:0a"}, Manufacturer: "QEMU & Co", Serial: "SN 01+#7", UUID: "11111111-2222-3333-4444-55555555aaaa"},
		Arch:     boot.AMD64, Firmware: boot.UEFIPXE,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMachine(t *testing.T) {
	for ask, want := range map[[2]string][2]string{
		{"x86_64", "efi"}:    {boot.AMD64, boot.UEFIPXE},
		{"x86_64", "pcbios"}: {boot.AMD64, boot.BIOSPXE},
		{"i386", "pcbios"}:   {boot.AMD64, boot.BIOSPXE},
		{"i386", "efi"}:      {"", boot.UEFIPXE},
		{"arm64", "efi"}:     {boot.ARM64, boot.UEFIPXE},
		{"riscv64", "efi"}:   {"", boot.UEFIPXE},
		{"", ""}:             {"", boot.UEFIPXE},
	} {
		if arch, firmware := machine(ask[0], ask[1]); arch != want[0] || firmware != want[1] {
			t.Errorf("%v: %s, %s; want %v", ask, arch, firmware, want)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add("mac=52-54-00-78-00-01&serial=SN%2001%237")
	f.Add("mac=52:54:00:78:00:01&uuid=%00%ff&serial=${uuid}")
	f.Add("&&&=;")
	f.Add(strings.Repeat("a=%c3%bc&", 20))
	f.Fuzz(func(t *testing.T, query string) {
		a, err := parseQuery(query)
		if err != nil {
			if !errors.Is(err, errQuery) || len(err.Error()) > 400 {
				t.Fatalf("error %v", err)
			}
			return
		}
		if !isMAC(a.mac) {
			t.Fatalf("mac %q", a.mac)
		}
		for _, v := range []string{a.Serial, a.Manufacturer, a.UUID, a.product} {
			if len(v) > maxValue+2 || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("value %q", v)
			}
		}
	})
}
