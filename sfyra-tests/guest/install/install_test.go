package install

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"ingot.dev/ingot/boot-assets/initramfs/cpio"
	"ingot.dev/ingot/boot-assets/initramfs/cpio/cpiotest"
	"ingot.dev/ingot/sfyra-tests/rack/esp"
)

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func machine() fstest.MapFS {
	fs := fstest.MapFS{"sys/block/nvme1n1/device/vpd_pg80": text("")}
	for name, values := range map[string]map[string]string{
		"nvme0n1": {"size": "2048\n", "removable": "0\n", "ro": "0\n", "device/serial": "NV1   \n"},
		"vda":     {"size": "4096\n", "removable": "0\n", "ro": "0\n", "serial": "VI1\x00", "device/vendor": "x"},
		"sda":     {"size": "4096\n", "removable": "0\n", "ro": "0\n", "device/vpd_pg80": "\x00\x80\x00\x03SA1"},
		"sdb":     {"size": "9999\n", "removable": "1\n", "ro": "0\n", "device/serial": "STICK"},
		"sdc":     {"size": "9999\n", "removable": "0\n", "ro": "1\n", "device/serial": "MEDIA"},
		"sdd":     {"size": "0\n", "removable": "0\n", "ro": "0\n", "device/serial": "EMPTY"},
		"loop0":   {"size": "9999\n", "removable": "0\n", "ro": "0\n"},
	} {
		for file, value := range values {
			fs["sys/block/"+name+"/"+file] = text(value)
		}
	}
	return fs
}

func TestDisks(t *testing.T) {
	want := []Disk{{"nvme0n1", "NV1", 1 << 20}, {"sda", "SA1", 2 << 20}, {"vda", "VI1", 2 << 20}}
	got := Disks(machine())
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v", got)
	}
	if Disks(fstest.MapFS{}) != nil {
		t.Error("a machine without sysfs has disks")
	}
	for which, name := range map[string]string{"largest": "vda", "smallest": "nvme0n1", "serial:SA1": "sda", "serial:STICK": "", "fastest": ""} {
		if d, err := Choose(want, which); d.Name != name || (err == nil) != (name != "") {
			t.Errorf("%s is %v, %v", which, d, err)
		}
	}
	if _, err := Choose(nil, "largest"); err == nil {
		t.Error("a disk was chosen of none")
	}
}

func running() fstest.MapFS {
	return fstest.MapFS{
		"init": text("the program"), "modules/index.json": text("{}"), "modules/nvme.ko": text("driver"),
		payloadLoader: text("the loader"), payloadKernel: text("the kernel"),
	}
}

func TestRead(t *testing.T) {
	s, err := Read(running())
	if err != nil || string(s.Loader) != "the loader" || string(s.Kernel) != "the kernel" {
		t.Fatalf("got %+v, %v", s, err)
	}
	s.Config = []byte("kind: TestOS\n")
	content := map[string]cpio.Entry{}
	for _, e := range cpiotest.Read(t, s.initramfs()) {
		content[e.Name] = e
	}
	if len(content) != 7+1+3+1 || string(content["init"].Data) != "the program" || content["init"].Mode != cpio.ModeProgram || string(content[ConfigPath].Data) != "kind: TestOS\n" {
		t.Errorf("the initramfs holds %v", content)
	}
	for name := range running() {
		lacking := running()
		delete(lacking, name)
		if _, err := Read(lacking); err == nil && !strings.HasPrefix(name, "modules/") {
			t.Errorf("without %s nothing was missed", name)
		}
	}
}

// TestScript: a boot's own words do not reach the disk, the machine's do.
func TestScript(t *testing.T) {
	got := string(script("vmlinuz initrd=initrd console=ttyS0 ingot.config=https://x/TOKEN ingot.pin=00 testos.truncate=9 tsc=unstable\n"))
	if !strings.Contains(got, "kernel --name vmlinuz file:/vmlinuz initrd=initrd testos.disk console=ttyS0 tsc=unstable || goto failed\n") || strings.Contains(got, "TOKEN") {
		t.Errorf("got %s", got)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	disk, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	s := System{Loader: []byte("the loader"), Kernel: []byte("the kernel"), KernelLine: "console=ttyS0", Config: []byte("the config")}
	if err := Write(disk, MinDisk-1, s); err == nil {
		t.Error("a disk that is too small was taken")
	}
	const size = MinDisk + 4<<20
	if err := disk.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := Write(disk, size, s); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	for _, want := range []string{"the loader", "the kernel", "the config", "file:/vmlinuz"} {
		if !bytes.Contains(before, []byte(want)) {
			t.Errorf("the disk does not hold %q", want)
		}
	}
	n, err := WriteMarks(disk, size)
	after, _ := os.ReadFile(path)
	if err != nil || n != 4 || bytes.Count(after, []byte(Mark)) != n {
		t.Errorf("%d marks, %v; the disk holds %d", n, err, bytes.Count(after, []byte(Mark)))
	}
	if end := esp.End(partitionBytes); !bytes.Equal(before[:end], after[:end]) || !bytes.Equal(before[size-33*512:], after[size-33*512:]) {
		t.Error("marks hit the system")
	}
}
