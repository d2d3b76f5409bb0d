package qemu

import (
	"fmt"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// order holds the boot index of the first NIC, of the first disk and of the optical drive.
type order struct{ nic, disk, optical int }

// order puts the network first, then the disks, then the optical drive, unless the override or the
// firmware's own order says otherwise. A drive without a medium falls through to the rest.
func (l *Launch) order() order {
	o := l.rest()
	o.optical = 2 + len(l.Spec.Disks) + len(l.Spec.NICs)
	if l.Override.Target == machine.TargetCd {
		o.optical = 0
	}
	return o
}

func (l *Launch) rest() order {
	network := l.Override.Target == machine.TargetPxe || l.Override.Target == machine.TargetUefiHTTP
	if l.Override.Target == machine.TargetHdd || l.Spec.DiskFirst && !network {
		return order{disk: 1, nic: 1 + len(l.Spec.Disks)}
	}
	return order{nic: 1, disk: 1 + len(l.Spec.NICs)}
}

func (l *Launch) nic(i int, o order) []string {
	nic := l.Spec.NICs[i]
	device := fmt.Sprintf("%s,id=nic%d,netdev=net%d,mac=%s,bootindex=%d", nic.Model, i, i, nic.MAC, o.nic+i)
	if nic.Model == VirtioNet && l.Spec.Firmware != BIOS || l.Spec.Arch == ARM64 {
		device += ",romfile=" // the firmware's own driver instead of iPXE's ROM, which is for x86
	}
	return []string{
		"-netdev", fmt.Sprintf("tap,id=net%d,ifname=%s,script=no,downscript=no", i, l.Taps[i]),
		"-device", device,
	}
}

// OpticalID is the name of the optical drive to QEMU's monitor.
const OpticalID = "optical0"

// optical is a drive on the built-in SATA controller, with the image or without.
func (l *Launch) optical(o order) []string {
	if !l.Spec.Drive {
		return nil
	}
	medium := ""
	if l.Inserted {
		medium = ",format=raw,file=" + MediaFile
	}
	return []string{
		"-drive", "if=none,id=media0,media=cdrom,readonly=on" + medium,
		"-device", fmt.Sprintf("ide-cd,id=%s,bus=ide.5,drive=media0,bootindex=%d", OpticalID, o.optical),
	}
}

// ImageFile is the name of disk i's own image in the server's folder.
func ImageFile(i int) string { return fmt.Sprintf("disk%d.img", i) }

func (l *Launch) disk(i int, o order) []string {
	disk := l.Spec.Disks[i]
	image := disk.Image
	if image == "" {
		image = ImageFile(i)
	}
	// cache=unsafe leaves flushes to the host's page cache: the data outlives
	// QEMU, only not a crash of the host.
	drive := fmt.Sprintf("if=none,id=disk%d,format=raw,discard=unmap,cache=unsafe,file=%s", i, escape(image))
	return append([]string{"-drive", drive + disk.access()}, disk.devices(i, o.disk+i)...)
}

// access says who else may use the image, and whether the guest may write.
func (d *Disk) access() string {
	out := ""
	if d.Shared {
		out += ",file.locking=off"
	}
	if d.Kind.readOnly() {
		out += ",readonly=on"
	}
	if d.Kind == USBCD {
		out += ",media=cdrom"
	}
	return out
}

func (d *Disk) devices(i, bootindex int) []string {
	common := fmt.Sprintf("drive=disk%d,bootindex=%d", i, bootindex)
	serial := ""
	if d.Serial != "" {
		serial = ",serial=" + escape(d.Serial)
	}
	if d.Shared {
		common += ",share-rw=on"
	}
	switch d.Kind {
	case USB, USBMedia, USBCD:
		return []string{"-device", fmt.Sprintf("usb-storage,id=drive%d,bus=usb0.0,removable=on,%s%s", i, common, serial)}
	case NVMe:
		return []string{"-device", fmt.Sprintf("nvme,id=drive%d,%s%s", i, common, serial)}
	case SATA:
		return []string{"-device", fmt.Sprintf("ide-hd,id=drive%d,bus=ide.%d,%s%s%s%s", i, i, common, serial, d.wwn(), d.rotation())}
	case SCSI:
		return []string{"-device", fmt.Sprintf("scsi-hd,id=drive%d,bus=scsi0.0,%s%s%s%s", i, common, serial, d.wwn(), d.rotation())}
	default:
		return []string{"-device", fmt.Sprintf("virtio-blk-pci,id=drive%d,%s%s", i, common, serial)}
	}
}

func (d *Disk) wwn() string {
	if d.WWN == 0 {
		return ""
	}
	return fmt.Sprintf(",wwn=0x%016x", d.WWN)
}

// rotation is a speed in rpm; 1 means solid state (ACS-3, word 217).
func (d *Disk) rotation() string {
	if d.Rotational {
		return ",rotation_rate=7200"
	}
	return ",rotation_rate=1"
}
