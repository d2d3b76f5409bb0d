package inventory

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// add puts a disk at a device path.
func add(tree fstest.MapFS, name, device string) {
	symlink(tree, "sys/block/"+name, "../devices/"+device)
	file(tree, "sys/devices/"+device+"/size", "2048")
}

func TestTransports(t *testing.T) {
	const pci = "pci0000:00/0000:00:1f.0/0000:03:00.0"
	for name, c := range map[string]struct{ disk, device, driver, want string }{
		"SATA":              {"sda", pci + "/ata1/host0/target0:0:0/0:0:0:0/block/sda", "ahci", "sata"},
		"SAS":               {"sda", pci + "/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda", "mpt3sas", "sas"},
		"RAID volume":       {"sda", pci + "/host0/target0:2:0/0:2:0:0/block/sda", "megaraid_sas", "raid"},
		"SCSI":              {"sda", pci + "/host0/target0:0:0/0:0:0:0/block/sda", "sym53c8xx", "scsi"},
		"fibre channel":     {"sda", pci + "/host0/rport-0:0-1/target0:0:0/0:0:0:0/block/sda", "qla2xxx", "fc"},
		"iSCSI":             {"sda", "platform/host0/session1/target0:0:0/0:0:0:0/block/sda", "", "iscsi"},
		"USB":               {"sda", pci + "/usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sda", "xhci_hcd", "usb"},
		"eMMC":              {"mmcblk0", "pci0000:00/0000:00:1c.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "", "mmc"},
		"virtio":            {"vda", "pci0000:00/0000:00:03.0/virtio0/block/vda", "", "virtio"},
		"something unknown": {"xvda", "vbd-51712/block/xvda", "", "unknown"},
	} {
		tree := fstest.MapFS{}
		add(tree, c.disk, c.device)
		symlink(tree, "sys/bus/pci/devices/0000:03:00.0/driver", "../../../bus/pci/drivers/"+c.driver)
		disks := collect(tree, images{}, macs{}).Collect(t.Context()).GetDisks()
		if len(disks) != 1 || disks[0].GetTransport() != c.want {
			t.Errorf("%s: got %v", name, disks)
		}
	}
}

func TestNVMeOnFabricsIsNotLocal(t *testing.T) {
	for kind, want := range map[string]string{"pcie": "nvme", "fc": "fc", "tcp": "unknown", "rdma": "unknown", "": "unknown"} {
		tree := fstest.MapFS{}
		add(tree, "nvme0n1", "pci0000:00/0000:05:00.0/nvme/nvme0/nvme0n1")
		file(tree, "sys/devices/pci0000:00/0000:05:00.0/nvme/nvme0/transport", kind)
		if got := collect(tree, images{}, macs{}).Collect(t.Context()).GetDisks()[0].GetTransport(); got != want {
			t.Errorf("%q: got %s, want %s", kind, got, want)
		}
	}
}

func TestNVMeWithNativeMultipathIsOneDisk(t *testing.T) {
	tree := fstest.MapFS{}
	add(tree, "nvme0n1", "virtual/nvme-subsystem/nvme-subsys0/nvme0n1")
	add(tree, "nvme0c0n1", "pci0000:00/0000:05:00.0/nvme/nvme0/nvme0c0n1")
	file(tree, "sys/devices/pci0000:00/0000:05:00.0/nvme/nvme0/nvme0c0n1/hidden", "1")
	file(tree, "sys/devices/pci0000:00/0000:05:00.0/nvme/nvme0/transport", "pcie")
	symlink(tree, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", "../../../pci0000:00/0000:05:00.0/nvme/nvme0")
	disks := collect(tree, images{}, macs{}).Collect(t.Context()).GetDisks()
	if len(disks) != 1 {
		t.Fatalf("got %v", disks)
	}
	if d := disks[0]; d.GetName() != "nvme0n1" || d.GetTransport() != "nvme" || d.GetPciAddress() != "0000:05:00.0" {
		t.Errorf("got %v", d)
	}
}

func TestWhatIsNoDisk(t *testing.T) {
	tree := fstest.MapFS{}
	for _, name := range []string{"loop0", "ram0", "zram0", "dm-0", "md127", "nbd0", "new0"} {
		add(tree, name, "virtual/block/"+name) // new0: a kind that no list names yet
	}
	for _, name := range []string{"sr0", "fd0", "mmcblk0boot0", "mmcblk0boot1"} {
		add(tree, name, "pci0000:00/0000:00:01.0/host0/block/"+name)
	}
	add(tree, "sdz", "pci0000:00/0000:00:01.0/usb1/1-1/host0/block/sdz")
	file(tree, "sys/devices/pci0000:00/0000:00:01.0/usb1/1-1/host0/block/sdz/size", "0")
	file(tree, "sys/devices/pci0000:00/0000:00:01.0/usb1/1-1/host0/block/sdz/removable", "1")
	add(tree, "sda", "pci0000:00/0000:00:01.0/host0/block/sda")
	if got := collect(tree, images{}, macs{}).diskNames(); len(got) != 1 || got[0] != "sda" {
		t.Errorf("got %v", got)
	}
}

func TestVPDSerial(t *testing.T) {
	for raw, want := range map[string]string{
		"\x00\x80\x00\x04SC-1": "SC-1", "\x00\x80\x00\x04SC-1junk": "SC-1", "\x00\x80\xff\xffcut": "cut", "\x00\x83\x00\x01x": "", "": "", "\x00\x80": "",
	} {
		if got := vpdSerial([]byte(raw)); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

func FuzzVPDSerial(f *testing.F) {
	f.Add([]byte("\x00\x80\x00\x04SC-1"))
	f.Add([]byte("\x00\x80\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := vpdSerial(b); len(got) > len(b) {
			t.Errorf("%d bytes out of %d", len(got), len(b))
		}
	})
}

// script runs WaitForDisks with one change of the tree per poll, and returns how long the agent waited.
func script(t *testing.T, changes ...func(fstest.MapFS)) (names []string, waited time.Duration) {
	t.Helper()
	tree := fstest.MapFS{}
	c := collect(tree, images{}, macs{})
	c.After = func(d time.Duration) <-chan time.Time {
		waited += d
		if len(changes) > 0 {
			changes[0](tree)
			changes = changes[1:]
		}
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	}
	return c.WaitForDisks(context.Background(), Settle{Poll: time.Second, Quiet: 3 * time.Second, Most: 20 * time.Second}), waited
}

func TestWaitForDisks(t *testing.T) {
	nothing := func(fstest.MapFS) {}
	disk := func(name string) func(fstest.MapFS) {
		return func(tree fstest.MapFS) { add(tree, name, "pci0000:00/0000:00:01.0/block/"+name) }
	}
	for _, c := range []struct {
		name    string
		changes []func(fstest.MapFS)
		want    string
		waited  time.Duration
	}{
		{"none at all: the bound", nil, "", 20 * time.Second},
		{"one at once, then quiet", []func(fstest.MapFS){disk("sda")}, "sda", 4 * time.Second},
		{"the first one late", []func(fstest.MapFS){nothing, nothing, nothing, nothing, nothing, disk("sda")}, "sda", 9 * time.Second},
		{"another within the quiet time", []func(fstest.MapFS){disk("sda"), nothing, disk("sdb")}, "sda sdb", 6 * time.Second},
	} {
		names, waited := script(t, c.changes...)
		if strings.Join(names, " ") != c.want || waited != c.waited {
			t.Errorf("%s: got %v after %s", c.name, names, waited)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("  QEMU  HARDDISK \x00", 16)
	f.Add("\xff\u202e\x1b[31m", 3)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most &= 0x1FF
		got := Clean(s, most)
		if n := len([]rune(got)); n > most {
			t.Errorf("%d characters, more than %d", n, most)
		}
		if Clean(got, most) != got || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7F }) {
			t.Errorf("%q is not clean", got)
		}
	})
}
