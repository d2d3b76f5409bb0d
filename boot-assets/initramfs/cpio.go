package initramfs

import (
	"bytes"
	"fmt"
)

// File types and permissions of the entries (stat(2)).
const (
	modeDir     = 0o040755
	modeFile    = 0o100644
	modeProgram = 0o100755
	modeConsole = 0o020600
)

// archive writes the "newc" form of cpio (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	out   bytes.Buffer
	inode int
}

type entry struct {
	name         string
	mode         int
	data         []byte
	major, minor int
}

// add appends an entry. Owner is root, time is zero, inode numbers count up from one.
func (a *archive) add(e entry) {
	a.inode++
	links := 1
	if e.mode&0o170000 == 0o040000 {
		links = 2
	}
	fmt.Fprintf(&a.out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, e.mode, 0, 0, links, 0, len(e.data), 0, 0, e.major, e.minor, len(e.name)+1, 0)
	a.out.WriteString(e.name + "\x00")
	a.pad()
	a.out.Write(e.data)
	a.pad()
}

// pad fills up to a multiple of four, as headers and contents begin there.
func (a *archive) pad() {
	for a.out.Len()%4 != 0 {
		a.out.WriteByte(0)
	}
}

// close writes the end mark.
func (a *archive) close() []byte {
	a.add(entry{name: "TRAILER!!!"})
	return a.out.Bytes()
}
