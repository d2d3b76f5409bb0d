// Package cpio writes the archives that Linux unpacks as its first root file system.
//
// Layer 1, pure. The form is "newc" (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). The same entries give the same bytes:
// owner is root, time is zero, inode numbers count up from one.
package cpio

import (
	"bytes"
	"fmt"
)

// File types and permissions of the entries (stat(2)).
const (
	ModeDir     = 0o040755
	ModeFile    = 0o100644
	ModeProgram = 0o100755
	ModeConsole = 0o020600
)

// Archive is being written; its zero value is empty.
type Archive struct {
	out   bytes.Buffer
	inode int
}

// Entry is one file, folder or device.
type Entry struct {
	// Name is the path from the root, without a slash in front. A folder goes before what it holds.
	Name string
	Mode int
	Data []byte
	// Major and Minor are of devices.
	Major, Minor int
}

// Add appends an entry.
func (a *Archive) Add(e Entry) {
	a.inode++
	links := 1
	if e.Mode&0o170000 == 0o040000 {
		links = 2
	}
	fmt.Fprintf(&a.out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, e.Mode, 0, 0, links, 0, len(e.Data), 0, 0, e.Major, e.Minor, len(e.Name)+1, 0)
	a.out.WriteString(e.Name + "\x00")
	a.pad()
	a.out.Write(e.Data)
	a.pad()
}

// pad fills up to a multiple of four, as headers and contents begin there.
func (a *Archive) pad() {
	for a.out.Len()%4 != 0 {
		a.out.WriteByte(0)
	}
}

// Close writes the end mark and returns the whole.
func (a *Archive) Close() []byte {
	a.Add(Entry{Name: "TRAILER!!!"})
	return a.out.Bytes()
}
