package qemu

import (
	"fmt"
	"strings"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Names of files in a server's folder, which is QEMU's working folder. They
// are relative, so socket paths stay short wherever the rack lives.
const (
	VarsFile    = "vars.fd"
	SerialFile  = "serial.log"
	ErrorsFile  = "qemu.log"
	MonitorFile = "qmp.sock"
	// MediaFile is the image in the optical drive; there is none while that is empty.
	MediaFile = "media.iso"
)

// Descriptors that QEMU inherits: its control monitor and the serial console.
const (
	monitorFD = 3
	consoleFD = 4
)

// Launch is all that one start of a server depends on.
type Launch struct {
	Spec *Spec
	// Accel is the accelerator.
	Accel Accel
	// CodeFile is the read-only firmware; unused for BIOS.
	CodeFile string
	// Taps are the devices of the NICs, in order.
	Taps []string
	// Inserted says that MediaFile is in the optical drive.
	Inserted bool
	// Override is the boot override that this start consumes.
	Override machine.BootOverride
}

// Args is QEMU's command line after the program's name.
func (l *Launch) Args() []string {
	args := append(l.base(), l.firmware()...)
	args = append(append(args, l.smbios()...), l.direct()...)
	order := l.order()
	for i := range l.Spec.NICs {
		args = append(args, l.nic(i, order)...)
	}
	if l.has(func(k DiskKind) bool { return k == SCSI }) {
		args = append(args, "-device", "virtio-scsi-pci,id=scsi0")
	}
	if l.Spec.Arch == ARM64 && l.has(func(k DiskKind) bool { return k == SATA }) { // q35 has one built in
		args = append(args, "-device", "ich9-ahci,id=ide")
	}
	if l.has(DiskKind.onUSB) {
		args = append(args, "-device", "qemu-xhci,id=usb0")
	}
	for i := range l.Spec.Disks {
		args = append(args, l.disk(i, order)...)
	}
	return append(append(args, l.optical(order)...), l.bmcLine()...)
}

// bmcLine is a KCS interface, which firmware announces by SMBIOS and ACPI.
func (l *Launch) bmcLine() []string {
	host, port, ok := strings.Cut(l.Spec.BMCLine, ":")
	if !ok {
		return nil
	}
	return []string{
		"-chardev", "socket,id=bmcline0,reconnect=1,host=" + escape(host) + ",port=" + escape(port),
		"-device", "ipmi-bmc-extern,id=bmc0,chardev=bmcline0", "-device", "isa-ipmi-kcs,bmc=bmc0",
	}
}

func (l *Launch) base() []string {
	return []string{
		"-name", "guest=" + l.Spec.Name,
		"-nodefaults", "-no-user-config", "-display", "none",
		"-machine", l.machine(),
		"-cpu", l.cpu(),
		"-smp", fmt.Sprint(l.Spec.CPUs),
		"-m", fmt.Sprintf("%dM", l.Spec.MemoryMiB),
		"-chardev", fmt.Sprintf("socket,id=monitor0,fd=%d", monitorFD),
		"-mon", "chardev=monitor0,mode=control",
		"-chardev", fmt.Sprintf("socket,id=serial0,fd=%d,logfile=%s,logappend=on", consoleFD, SerialFile),
		"-serial", "chardev:serial0",
		"-chardev", "socket,id=monitor1,server=on,wait=off,path=" + MonitorFile,
		"-mon", "chardev=monitor1,mode=control",
	}
}

// machine is q35, or the board without a maker that firmware and Linux know for arm64 (QEMU, docs/system/arm/virt.rst).
func (l *Launch) machine() string {
	if l.Spec.Arch == ARM64 {
		return "virt,accel=" + string(TCG)
	}
	return "q35,graphics=off,accel=" + string(l.Accel)
}

// cpu for arm64 is the one that has all that emulation knows, a source of random numbers (FEAT_RNG) among it; its pointer authentication uses QEMU's own
// function, since the architected one is slow to emulate (QEMU, docs/system/arm/cpu-features.rst, pauth-impdef).
func (l *Launch) cpu() string {
	if l.Spec.Arch == ARM64 {
		return "max,pauth-impdef=on"
	}
	return l.Accel.cpu(l.Spec.Modern)
}

// firmware picks the ways of network boot by OVMF's fw_cfg switches
// (OvmfPkg/README, NetworkPkg's PXE and HTTP boot PCDs). With IPv4PXESupport
// off, HTTP boot is what is left.
func (l *Launch) firmware() []string {
	if l.Spec.Firmware == BIOS {
		return nil
	}
	http := l.HTTPBoot()
	return []string{
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + escape(l.CodeFile),
		"-drive", "if=pflash,unit=1,format=raw,file=" + VarsFile,
		"-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=" + yesNo(!http),
		"-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=" + yesNo(l.Spec.IPv6 && !http),
		"-fw_cfg", "name=opt/org.tianocore/IPv6Support,string=" + yesNo(l.Spec.IPv6),
	}
}

// direct names the kernel, unless this start shall boot a disk.
func (l *Launch) direct() []string {
	d := l.Spec.Direct
	if d == nil || l.Override.Target == machine.TargetHdd {
		return nil
	}
	return []string{"-kernel", d.Kernel, "-initrd", d.Initramfs, "-append", d.Line}
}

// HTTPBoot says whether this start has PXE switched off.
func (l *Launch) HTTPBoot() bool {
	return l.Spec.HTTPBoot || l.Override.Target == machine.TargetUefiHTTP
}

func yesNo(on bool) string {
	if on {
		return "y"
	}
	return "n"
}

func (l *Launch) smbios() []string {
	s := l.Spec
	var args []string
	if s.UUID != "" {
		args = append(args, "-uuid", s.UUID)
	}
	tables := []string{
		table(1, "manufacturer", s.Manufacturer, "product", s.Product, "serial", s.Serial, "sku", s.SKU, "family", s.Family),
		table(2, "manufacturer", s.Board.Manufacturer, "product", s.Board.Product, "serial", s.Board.Serial),
		table(3, "manufacturer", s.Manufacturer, "asset", s.Board.AssetTag),
	}
	for _, t := range tables {
		if strings.Contains(t, ",") { // more than its type
			args = append(args, "-smbios", t)
		}
	}
	return args
}

func table(kind int, pairs ...string) string {
	out := fmt.Sprintf("type=%d", kind)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out += "," + pairs[i] + "=" + escape(pairs[i+1])
		}
	}
	return out
}

// escape doubles commas, QEMU's only quoting in option values.
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }

func (l *Launch) has(kind func(DiskKind) bool) bool {
	for _, disk := range l.Spec.Disks {
		if kind(disk.Kind) {
			return true
		}
	}
	return false
}
