package initramfs

import (
	"bytes"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"ingot.dev/ingot/boot-assets/initramfs/kmod/kmodtest"
)

// folder is a package in memory.
type folder map[string][]byte

func (f folder) Names(dir string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(f)), func(name string) bool { return !strings.HasPrefix(name, dir+"/") })
}

func (f folder) Read(name string) ([]byte, error) {
	if data, ok := f[name]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func packXZ(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const tree6 = "usr/lib/modules/6.12.1+deb12-amd64/"

// smallKernel has a network driver with firmware, a library with a soft dependency, and an auxiliary driver.
func smallKernel(t *testing.T) folder {
	return folder{
		"boot/vmlinuz-6.12.1+deb12-amd64": []byte("kernel"),
		tree6 + "modules.builtin":         []byte("kernel/drivers/virtio/virtio.ko\nkernel/drivers/base/built-in.ko\n"),
		tree6 + "kernel/net/nic.ko.xz": packXZ(t, kmodtest.Module("name=nic", "depends=lib-crc,virtio", "firmware=nic/fw.bin", "firmware=nic/old.bin",
			"alias=pci:v00001111d00002222sv*sd*bc*sc*i*")),
		tree6 + "kernel/lib/lib-crc.ko.xz":  packXZ(t, kmodtest.Module("name=lib_crc", "softdep=pre: crc absent")),
		tree6 + "kernel/lib/crc-generic.ko": kmodtest.Module("name=crc_generic"),
		tree6 + "kernel/net/nic-eth.ko":     kmodtest.Module("name=nic_eth", "depends=nic", "alias=auxiliary:nic.eth"),
		tree6 + "kernel/net/unwanted.ko":    []byte("not even ELF"),
	}
}

func smallLists() Lists {
	return Lists{
		Devices:  []Device{{Vendor: "1111", Device: "2222", Subvendor: "0000", Subdevice: "0000", Class: "020000", Driver: "nic", Product: "test"}},
		Modules:  []string{"nic_eth", "virtio"},
		Always:   []string{"virtio", "nic_eth"},
		Provides: map[string]string{"crc": "crc_generic"},
		LeftOut:  map[string]string{"nic/old.bin": "not needed"},
	}
}

var smallFirmware = []Files{folder{}, folder{"usr/lib/firmware/nic/fw.bin": []byte("firmware")}}

func TestCollect(t *testing.T) {
	parts, err := Collect(smallLists(), smallKernel(t), smallFirmware)
	if err != nil {
		t.Fatal(err)
	}
	if parts.Kernel != "6.12.1+deb12-amd64" || string(parts.Vmlinuz) != "kernel" {
		t.Errorf("kernel %q %q", parts.Kernel, parts.Vmlinuz)
	}
	var order []string
	for _, m := range parts.Index.Modules {
		order = append(order, m.File+"<-"+strings.Join(m.Deps, ","))
	}
	if want := "crc_generic.ko<- lib_crc.ko<-crc_generic nic.ko<-lib_crc nic_eth.ko<-nic"; strings.Join(order, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(order, " "), want)
	}
	if !slices.Equal(parts.Index.Always, []string{"nic_eth"}) {
		t.Errorf("always %v, want what the kernel has not built in", parts.Index.Always)
	}
	if len(parts.Firmware) != 1 || string(parts.Firmware["nic/fw.bin"]) != "firmware" {
		t.Errorf("firmware %v", parts.Firmware)
	}
	if got := parts.Index.Drivers(smallLists().Devices[0].Modalias()); !slices.Equal(got, []string{"nic", "nic_eth"}) {
		t.Errorf("drivers %v, want the driver and that of its auxiliary device", got)
	}
	if err := Check(smallLists(), parts); err != nil {
		t.Errorf("check: %v", err)
	}
}

func TestCollectRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(Lists, folder) Lists
		want   string
	}{
		"unknown module": {func(l Lists, _ folder) Lists { l.Modules = []string{"gone"}; return l }, "module gone: kernel 6.12.1+deb12-amd64 does not have it"},
		"no firmware":    {func(l Lists, _ folder) Lists { l.LeftOut = nil; return l }, "no package has nic/old.bin"},
		"two releases":   {func(l Lists, f folder) Lists { f["usr/lib/modules/7/x.ko"] = nil; return l }, "two releases"},
		"no modules":     {func(l Lists, f folder) Lists { clear(f); return l }, "no modules"},
		"no kernel":      {func(l Lists, f folder) Lists { delete(f, "boot/vmlinuz-6.12.1+deb12-amd64"); return l }, "reading kernel"},
		"no builtin":     {func(l Lists, f folder) Lists { delete(f, tree6+"modules.builtin"); return l }, "built-in"},
		"broken xz":      {func(l Lists, f folder) Lists { f[tree6+"kernel/net/nic.ko.xz"] = []byte("x"); return l }, "module nic: reading xz"},
		"other name": {func(l Lists, f folder) Lists {
			f[tree6+"kernel/lib/crc-generic.ko"] = kmodtest.Module("name=x")
			return l
		}, "calls itself x"},
		"broken module": {func(l Lists, _ folder) Lists { l.Modules = []string{"unwanted"}; return l }, "module unwanted: reading module as ELF"},
	} {
		kernel := smallKernel(t)
		lists := c.change(smallLists(), kernel)
		if _, err := Collect(lists, kernel, smallFirmware); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestCheckFinds(t *testing.T) {
	parts, err := Collect(smallLists(), smallKernel(t), smallFirmware)
	if err != nil {
		t.Fatal(err)
	}
	lists := smallLists()
	lists.Devices[0].Device = "3333"
	lists.LeftOut = map[string]string{"nic/fw.bin": "in the image", "never.bin": "named by nobody"}
	parts.Index.Always = append(parts.Index.Always, "gone")
	err = Check(lists, parts)
	for _, want := range []string{"d00003333", "is driven by [], not by nic", "modules.list: gone", "nic/old.bin of nic", "no driver needs nic/fw.bin", "no driver needs never.bin"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestUnxzIsBounded(t *testing.T) {
	data := packXZ(t, make([]byte, 1000))
	if out, err := unxz(data, 1000); err != nil || len(out) != 1000 {
		t.Errorf("control: %d bytes, %v", len(out), err)
	}
	if _, err := unxz(data, 999); err == nil {
		t.Error("more than the limit was accepted")
	}
}
