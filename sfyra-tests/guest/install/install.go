// Package install puts the test OS on a disk: a partition with iPXE as the boot loader, the kernel, and an initramfs that holds the machine config.
//
// Layer 1 but for the writer that it fills.
//
// iPXE is the loader since firmware can start it and it can start Linux with a kernel line: it finds `autoexec.ipxe` beside itself. It must be the
// build with drivers of its own (ipxe.efi): one that was started from a disk and uses the firmware's finds no network device.
package install

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"ingot.dev/ingot/boot-assets/initramfs/cpio"
	"ingot.dev/ingot/sfyra-tests/rack/esp"
)

// partitionBytes is the size of the partition: kernel and initramfs are about 30 MiB.
const partitionBytes = 64 << 20

// MinDisk is the smallest disk that the system fits on.
const MinDisk = partitionBytes + 2<<20

// Mark is what the system writes to its disk when its config says so. Who releases the server looks for it.
const Mark = "INGOT-TESTOS-MARK of a workload that was here"

// MarkEvery is the distance of marks.
const MarkEvery = 1 << 20

// DiskArg on the kernel line says that the system runs from its disk.
const DiskArg = "testos.disk"

// ConfigPath is where the initramfs on the disk holds the machine config.
const ConfigPath = "config.yaml"

// System is what is installed.
type System struct {
	// Loader is iPXE, Kernel the kernel, both as files.
	Loader, Kernel []byte
	// Root is the first root file system, but for the config; see Root.
	Root []cpio.Entry
	// KernelLine is that of the running system.
	KernelLine string
	// Config is the machine config.
	Config []byte
}

// Write installs onto a disk of so many bytes.
func Write(disk io.WriterAt, size int64, s System) error {
	err := esp.Write(disk, size, partitionBytes, []esp.File{
		{Path: esp.Loader, Data: s.Loader},
		{Path: "EFI/BOOT/autoexec.ipxe", Data: script(s.KernelLine)},
		{Path: "vmlinuz", Data: s.Kernel},
		{Path: "initrd", Data: s.initramfs()},
	})
	if err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	return nil
}

// script is what iPXE does on the disk. Firmware takes the error of `exit 1` as "try the next one".
func script(kernelLine string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#!ipxe\necho testos: loading from disk\n")
	fmt.Fprintf(&b, "ifopen\n") // without an open network device this iPXE starts no EFI program
	fmt.Fprintf(&b, "kernel --name vmlinuz file:/vmlinuz initrd=initrd %s %s || goto failed\n", DiskArg, strings.Join(kept(kernelLine), " "))
	fmt.Fprintf(&b, "initrd --name initrd file:/initrd || goto failed\nboot || goto failed\n")
	fmt.Fprintf(&b, ":failed\necho testos: the loader failed\nexit 1\n")
	return b.Bytes()
}

// kept are the words of a kernel line that are the machine's and not one boot's.
func kept(kernelLine string) []string {
	var out []string
	for word := range strings.FieldsSeq(kernelLine) {
		ours := strings.HasPrefix(word, "ingot.") || strings.HasPrefix(word, "testos.")
		if ours || strings.HasPrefix(word, "initrd=") || word == "vmlinuz" {
			continue
		}
		out = append(out, word)
	}
	return out
}

func (s *System) initramfs() []byte {
	var a cpio.Archive
	for _, e := range append(s.Root, cpio.Entry{Name: ConfigPath, Mode: cpio.ModeFile, Data: s.Config}) {
		a.Add(e)
	}
	return a.Close()
}

// WriteMarks writes marks behind the partition, up to the table at the disk's end, and returns how many.
func WriteMarks(disk io.WriterAt, size int64) (int, error) {
	n := 0
	for at := esp.End(partitionBytes); at+MarkEvery < size; at += MarkEvery {
		if _, err := disk.WriteAt([]byte(Mark), at); err != nil {
			return n, fmt.Errorf("writing marks: %w", err)
		}
		n++
	}
	return n, nil
}
