package inventory

import (
	"strings"
	"testing"
	"testing/fstest"

	"ingot.dev/ingot/agent/protocol"
)

// What rule 3 of DESIGN section 3 rests on: which disks are the server's own is judged by the controller, out of what is reported here.

const sataPort = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"

// shown are the disks that the tree has, by name.
func shown(t *testing.T, tree fstest.MapFS) map[string]*protocol.Disk {
	t.Helper()
	out := map[string]*protocol.Disk{}
	for _, d := range collect(tree, images{}, macs{}).Collect(t.Context()).GetDisks() {
		out[d.GetName()] = d
	}
	return out
}

func disk(tree fstest.MapFS, name, device, wwid string) {
	add(tree, name, device)
	file(tree, "sys/devices/"+device+"/removable", "0")
	file(tree, "sys/devices/"+device+"/ro", "0")
	symlink(tree, "sys/devices/"+device+"/device", "../../../"+strings.Split(device, "/")[len(strings.Split(device, "/"))-3])
	file(tree, "sys/devices/"+device[:strings.LastIndex(device, "/block/")]+"/wwid", wwid)
}

// TestTwoPathsAreTwoDisks: nothing hides that a WWID is there twice.
func TestTwoPathsAreTwoDisks(t *testing.T) {
	tree := fstest.MapFS{}
	const hba = "pci0000:00/0000:00:03.0/host1/port-1:%/end_device-1:%/target1:0:%/1:0:%:0/block/"
	disk(tree, "sda", sataPort, "naa.5000c50000000001")
	disk(tree, "sdb", strings.ReplaceAll(hba, "%", "0")+"sdb", "naa.5000c50000000002")
	disk(tree, "sdc", strings.ReplaceAll(hba, "%", "1")+"sdc", "naa.5000c50000000002")
	got := shown(t, tree)
	if len(got) != 3 || got["sdb"].GetWwid() != "naa.5000c50000000002" || got["sdc"].GetWwid() != got["sdb"].GetWwid() {
		t.Errorf("got %v", got)
	}
	if got["sda"].GetWwid() != "naa.5000c50000000001" || got["sda"].GetTransport() != "sata" {
		t.Errorf("got %v", got["sda"])
	}
}

// TestSticksAndVirtualMedia: whatever hangs on USB says so, with and without the removable flag; an empty virtual drive is no disk, and an
// optical one never.
func TestSticksAndVirtualMedia(t *testing.T) {
	tree := fstest.MapFS{}
	usb := func(port, name string) string {
		return "pci0000:00/0000:00:14.0/usb1/1-" + port + "/1-" + port + ":1.0/host" + port + "/target" + port + ":0:0/" + port + ":0:0:0/block/" + name
	}
	for port, name := range map[string]string{"1": "sdb", "2": "sdc", "3": "sdd", "4": "sde", "5": "sr0"} {
		disk(tree, name, usb(port, name), "t10.USB"+port)
	}
	disk(tree, "sda", sataPort, "naa.5000c50000000001")
	file(tree, "sys/devices/"+usb("1", "sdb")+"/removable", "1") // a stick
	file(tree, "sys/devices/"+usb("3", "sdd")+"/removable", "1") // virtual media as a disk
	file(tree, "sys/devices/"+usb("3", "sdd")+"/ro", "1")
	file(tree, "sys/devices/"+usb("4", "sde")+"/removable", "1") // virtual media without a medium
	file(tree, "sys/devices/"+usb("4", "sde")+"/size", "0")
	file(tree, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/serial", "STICK1\n")
	file(tree, "sys/devices/pci0000:00/0000:00:14.0/usb1/serial", "0000:00:14.0\n") // of the hub in the controller
	got := shown(t, tree)
	if got["sdb"].GetSerial() != "STICK1" || got["sdc"].GetSerial() != "" || got["sda"].GetSerial() != "" {
		t.Errorf("the serial numbers are %q, %q, %q", got["sdb"].GetSerial(), got["sdc"].GetSerial(), got["sda"].GetSerial())
	}
	for name, want := range map[string]struct {
		transport           string
		removable, readOnly bool
	}{"sda": {"sata", false, false}, "sdb": {"usb", true, false}, "sdc": {"usb", false, false}, "sdd": {"usb", true, true}} {
		d := got[name]
		if d.GetTransport() != want.transport || d.GetRemovable() != want.removable || d.GetReadOnly() != want.readOnly {
			t.Errorf("%s: got %v", name, d)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %v", got)
	}
}

// TestNamespacesAreDisks: each namespace of one controller is a disk of its own, with its own identifier.
func TestNamespacesAreDisks(t *testing.T) {
	tree := fstest.MapFS{}
	const controller = "pci0000:00/0000:05:00.0/nvme/nvme0"
	file(tree, "sys/devices/"+controller+"/transport", "pcie")
	for name, wwid := range map[string]string{"nvme0n1": "eui.01", "nvme0n2": "eui.02"} {
		add(tree, name, controller+"/"+name)
		file(tree, "sys/devices/"+controller+"/"+name+"/wwid", wwid)
	}
	got := shown(t, tree)
	if len(got) != 2 || got["nvme0n1"].GetWwid() != "eui.01" || got["nvme0n2"].GetWwid() != "eui.02" || got["nvme0n2"].GetTransport() != "nvme" {
		t.Errorf("got %v", got)
	}
}

// TestNVMeThroughSeveralControllers: such a disk may have other hosts, also when all paths are PCI Express. The control is one path.
func TestNVMeThroughSeveralControllers(t *testing.T) {
	for _, c := range []struct {
		kinds []string
		want  string
	}{{[]string{"pcie"}, "nvme"}, {[]string{"pcie", "pcie"}, "unknown"}, {[]string{"pcie", "tcp"}, "unknown"}, {[]string{"tcp"}, "unknown"}, {nil, "unknown"}} {
		tree := fstest.MapFS{}
		add(tree, "nvme0n1", "virtual/nvme-subsystem/nvme-subsys0/nvme0n1")
		for i, kind := range c.kinds {
			name := "nvme" + string(rune('0'+i))
			file(tree, "sys/devices/pci0000:00/0000:05:00.0/nvme/"+name+"/transport", kind)
			symlink(tree, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/"+name, "../../../pci0000:00/0000:05:00.0/nvme/"+name)
		}
		if got := shown(t, tree)["nvme0n1"].GetTransport(); got != c.want {
			t.Errorf("%v: got %s, want %s", c.kinds, got, c.want)
		}
	}
}

// TestPartitionsAndAreasAreNoDisks: they belong to their disk.
func TestPartitionsAndAreasAreNoDisks(t *testing.T) {
	tree := fstest.MapFS{}
	disk(tree, "sda", sataPort, "naa.5000c50000000001")
	file(tree, "sys/devices/"+sataPort+"/sda1/partition", "1")
	file(tree, "sys/devices/"+sataPort+"/sda1/size", "1024")
	const card = "pci0000:00/0000:00:1c.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0"
	add(tree, "mmcblk0", card)
	add(tree, "mmcblk0boot0", card+"/mmcblk0boot0")
	add(tree, "mmcblk0rpmb", card+"/mmcblk0rpmb")
	if got := shown(t, tree); len(got) != 2 || got["sda"] == nil || got["mmcblk0"].GetTransport() != "mmc" {
		t.Errorf("got %v", got)
	}
}

// TestDisksBeforeAWrite: the list for somebody who is about to write is that of the report, without a look at what is on the disks.
func TestDisksBeforeAWrite(t *testing.T) {
	tree := recorded(t, "qemu-ovmf.txtar")
	c := collect(tree, images{}, macs{})
	reported := c.Collect(t.Context()).GetDisks()
	now := c.Disks()
	if len(now) != len(reported) {
		t.Fatalf("%d disks, %d were reported", len(now), len(reported))
	}
	for i, d := range now {
		if d.GetContents() != "" {
			t.Errorf("%s was looked at", d.GetName())
		}
		d.Contents = reported[i].GetContents()
		equal(t, d.GetName(), d, reported[i])
	}
	delete(tree, "sys/block/sda")
	if after := c.Disks(); len(after) != len(now)-1 {
		t.Errorf("a disk that is gone is still listed: %v", after)
	}
}
