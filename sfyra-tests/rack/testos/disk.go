// Package testos writes an "installed operating system" onto a disk image: a
// boot loader of about a kilobyte, where firmware looks for one, that says
// on the serial port that it runs and switches off at the power button.
//
// Layer 1 but for the writer that it fills. It needs no compiler, no mtools and
// no root, and the same bytes come out every time, so a test can compare the
// SHA-256 of a disk before and after.
//
// Source: the PE/COFF specification. The disk is written by rack/esp.
package testos

import (
	"fmt"
	"io"
	"os"

	"ingot.dev/ingot/sfyra-tests/rack/esp"
)

// partitionBytes is the size of the partition.
const partitionBytes = 8 << 20

// Write puts the system onto a blank image that has its final size.
func Write(image *os.File) error {
	info, err := image.Stat()
	if err != nil {
		return fmt.Errorf("writing the test system: %w", err)
	}
	return write(image, info.Size())
}

func write(image io.WriterAt, size int64) error {
	if err := esp.Write(image, size, partitionBytes, []esp.File{{Path: esp.Loader, Data: program()}}); err != nil {
		return fmt.Errorf("writing the test system: %w", err)
	}
	return nil
}
