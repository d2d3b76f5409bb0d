// Package esp writes disks that firmware boots: a GPT with one EFI system
// partition that holds the given files.
//
// Layer 1 but for the writer that it fills. It needs no mtools, no mkfs and no
// root, and the same bytes come out every time.
//
// Sources: UEFI 2.10 chapter 5 (GPT) and section 13.3 (FAT, \EFI\BOOT), the
// Microsoft FAT specification of 2000.
package esp

import (
	"fmt"
	"io"

	"ingot.dev/ingot/boot-assets/fat"
)

const sector = 512

// maxLabel is how long a partition's name may be, in UTF-16 units (UEFI 2.10 table 5-6).
const maxLabel = 36

// Loader is where firmware looks on a disk that no boot entry names (UEFI 2.10
// section 3.5.1.1).
const Loader = "EFI/BOOT/BOOTX64.EFI"

// File is one file of the partition.
type File = fat.File

// MinDisk is the smallest disk for a partition of so many bytes: 1 MiB, the
// partition, 1 MiB.
func MinDisk(partition int64) int64 { return 2*firstLBA*sector + partition }

// End is the first byte after a partition of so many bytes.
func End(partition int64) int64 { return firstLBA*sector + partition }

// piece is a run of bytes and where it stands on the disk.
type piece struct {
	at   int64
	data []byte
}

// Write puts the table and a partition of so many bytes onto a disk that has
// size bytes. What is between the files is left as it is.
func Write(disk io.WriterAt, size, partition int64, files []File) error {
	if size < MinDisk(partition) {
		return fmt.Errorf("writing an EFI system partition: the disk of %d bytes is smaller than %d", size, MinDisk(partition))
	}
	laid, err := fat.Layout(partition, firstLBA, files)
	if err != nil {
		return fmt.Errorf("writing an EFI system partition: %w", err)
	}
	var pieces []piece
	for _, p := range laid {
		pieces = append(pieces, piece{firstLBA*sector + p.At, p.Data})
	}
	return write(disk, append(pieces, tables(uint64(size/sector), uint64(partition/sector), label{espType, "EFI system"})...))
}

// WriteEmpty puts the table and one partition of Linux' data, of so many bytes, with an ASCII name and without content, onto a disk that has
// size bytes.
func WriteEmpty(disk io.WriterAt, size, partition int64, name string) error {
	if size < MinDisk(partition) || len(name) > maxLabel {
		return fmt.Errorf("writing a partition: the disk of %d bytes is smaller than %d, or %q is longer than %d bytes", size, MinDisk(partition), name, maxLabel)
	}
	return write(disk, tables(uint64(size/sector), uint64(partition/sector), label{linuxType, name}))
}

func write(disk io.WriterAt, pieces []piece) error {
	for _, p := range pieces {
		if _, err := disk.WriteAt(p.data, p.at); err != nil {
			return fmt.Errorf("writing a partition: %w", err)
		}
	}
	return nil
}
