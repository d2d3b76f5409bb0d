//go:build e2e

package main

import (
	"bytes"
	"io"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"ingot.dev/ingot/boot-assets/initramfs/cpio/cpiotest"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

// unpack is what the image's initramfs would install.
func unpack(t *testing.T, image []byte) install.System {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	archive, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, e := range cpiotest.Read(t, archive) {
		if e.Mode&0o170000 == 0o100000 {
			files[e.Name] = &fstest.MapFile{Data: e.Data}
		}
	}
	system, err := install.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return system
}
