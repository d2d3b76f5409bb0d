package catalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ingot.dev/ingot/boot-assets/catalog"
)

const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const good = `{"version":"1","arch":"amd64","kernel":"6.12","files":{"vmlinuz":{"sha256":"` + sum + `","size":7},` +
	`"initramfs.zst":{"sha256":"` + sum + `","size":9},"../../etc/shadow":{"sha256":"` + sum + `","size":9}},"kernelArgs":["console=tty0"]}`

func TestParseManifest(t *testing.T) {
	m, err := catalog.ParseManifest([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 2 || m.Files[catalog.Kernel].Size != 7 || m.Files[catalog.Initramfs].SHA256 != sum || m.KernelArgs[0] != "console=tty0" {
		t.Errorf("got %+v", m)
	}
	if m, err := catalog.ParseManifest([]byte(strings.Replace(good, "amd64", "arm64", 1))); err != nil || m.Arch != catalog.ARM64 {
		t.Errorf("arm64: %+v, %v", m, err)
	}
}

func TestParseManifestRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"not JSON":      {`{"version"`, `{version`},
		"architecture":  {`"amd64"`, `"riscv64"`},
		"no kernel":     {`"vmlinuz"`, `"vmlinux"`},
		"no initramfs":  {`"initramfs.zst"`, `"initrd"`},
		"short digest":  {sum, sum[2:]},
		"upper digest":  {sum, strings.ToUpper(sum)},
		"no hex":        {sum, "zz" + sum[2:]},
		"size zero":     {`"size":7`, `"size":0`},
		"size negative": {`"size":7`, `"size":-7`},
		"size huge":     {`"size":7`, `"size":1073741825`},
		"size fraction": {`"size":7`, `"size":7.5`},
		"blank in arg":  {`"console=tty0"`, `"console=tty0 init=/bin/sh"`},
		"newline":       {`"console=tty0"`, `"a\nb"`},
		"UTF-8 arg":     {`"console=tty0"`, `"ü"`},
		"empty arg":     {`"console=tty0"`, `""`},
		"long arg":      {`"console=tty0"`, `"` + strings.Repeat("x", 257) + `"`},
		"many args":     {`"console=tty0"`, `"x"` + strings.Repeat(`,"x"`, 32)},
		"too long":      {`{"version"`, strings.Repeat(" ", 65<<10) + `{"version"`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := catalog.ParseManifest([]byte(bad)); !errors.Is(err, catalog.ErrManifest) {
			t.Errorf("%s: %v, want ErrManifest", name, err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"files":{"vmlinuz":null}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := catalog.ParseManifest(data)
		if err != nil {
			return
		}
		if !slices.Contains(catalog.Archs(), m.Arch) || len(m.Files) != 2 {
			t.Errorf("accepted %+v", m)
		}
	})
}
