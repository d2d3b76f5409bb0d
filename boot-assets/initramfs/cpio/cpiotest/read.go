// Package cpiotest reads what package cpio writes, for tests.
package cpiotest

import (
	"strconv"
	"testing"

	"ingot.dev/ingot/boot-assets/initramfs/cpio"
)

// Read is a second, independent reader of the newc form; it fails on anything but what the kernel accepts.
func Read(t *testing.T, data []byte) []cpio.Entry {
	t.Helper()
	var out []cpio.Entry
	at := 0
	number := func(field int) int {
		n, err := strconv.ParseUint(string(data[at+6+8*field:at+14+8*field]), 16, 32)
		if err != nil {
			t.Fatalf("header at %d: %v", at, err)
		}
		return int(n)
	}
	for {
		if string(data[at:at+6]) != "070701" {
			t.Fatalf("no magic at %d", at)
		}
		if inode, mtime := number(0), number(5); inode != len(out)+1 || mtime != 0 {
			t.Fatalf("inode %d, time %d at %d", inode, mtime, at)
		}
		size, nameSize := number(6), number(11)
		name := string(data[at+110 : at+110+nameSize-1])
		if data[at+110+nameSize-1] != 0 {
			t.Fatalf("name %q does not end in NUL", name)
		}
		e := cpio.Entry{Name: name, Mode: number(1), Major: number(9), Minor: number(10)}
		body := (at + 110 + nameSize + 3) &^ 3
		e.Data = data[body : body+size]
		at = (body + size + 3) &^ 3
		if name == "TRAILER!!!" {
			if at != len(data) {
				t.Fatalf("%d bytes after the end", len(data)-at)
			}
			return out
		}
		out = append(out, e)
	}
}
