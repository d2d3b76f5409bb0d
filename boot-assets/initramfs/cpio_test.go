package initramfs

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// readCpio is a second, independent reader of the newc form; it fails on anything but what the kernel accepts.
func readCpio(t *testing.T, data []byte) []entry {
	t.Helper()
	var out []entry
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
		e := entry{name: name, mode: number(1), major: number(9), minor: number(10)}
		body := (at + 110 + nameSize + 3) &^ 3
		e.data = data[body : body+size]
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

func TestCpio(t *testing.T) {
	want := []entry{
		{name: "dev", mode: modeDir},
		{name: "dev/console", mode: modeConsole, major: 5, minor: 1},
		{name: "a", mode: modeFile, data: []byte("x")},
		{name: "ab", mode: modeFile, data: []byte("1234")},
		{name: "abc", mode: modeProgram},
	}
	var cpio archive
	for _, e := range want {
		cpio.add(e)
	}
	got := readCpio(t, cpio.close())
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.name != w.name || g.mode != w.mode || !bytes.Equal(g.data, w.data) || g.major != w.major || g.minor != w.minor {
			t.Errorf("entry %d: got %+v, want %+v", i, g, w)
		}
	}
}

// The first header, byte by byte, as the kernel's documentation lays it out.
func TestCpioHeader(t *testing.T) {
	var cpio archive
	cpio.add(entry{name: "dev/console", mode: modeConsole, major: 5, minor: 1})
	want := "070701" + "00000001" + "00002180" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000005" + "00000001" + "0000000C" + "00000000" + "dev/console\x00" + "\x00\x00"
	if got := cpio.out.String(); got != want {
		t.Errorf("got  %s\nwant %s", fmt.Sprintf("%q", got), fmt.Sprintf("%q", want))
	}
}

// Whatever names and contents go in, the independent reader gives them back in order.
func TestCpioProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[a-z0-9/._-]{1,40}`), 0, 8).Draw(r, "names")
		contents := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 50), len(names), len(names)).Draw(r, "contents")
		var cpio archive
		for i, name := range names {
			cpio.add(entry{name: name, mode: modeFile, data: contents[i]})
		}
		got := readCpio(t, cpio.close())
		if len(got) != len(names) {
			r.Fatalf("%d entries, want %d", len(got), len(names))
		}
		for i, e := range got {
			if e.name != names[i] || !bytes.Equal(e.data, contents[i]) {
				r.Fatalf("entry %d: %+v, want %q with %q", i, e, names[i], contents[i])
			}
		}
	})
}
