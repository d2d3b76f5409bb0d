package cpio_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/boot-assets/initramfs/cpio"
	"ingot.dev/ingot/boot-assets/initramfs/cpio/cpiotest"
)

func TestCpio(t *testing.T) {
	want := []cpio.Entry{
		{Name: "dev", Mode: cpio.ModeDir},
		{Name: "dev/console", Mode: cpio.ModeConsole, Major: 5, Minor: 1},
		{Name: "a", Mode: cpio.ModeFile, Data: []byte("x")},
		{Name: "ab", Mode: cpio.ModeFile, Data: []byte("1234")},
		{Name: "abc", Mode: cpio.ModeProgram},
	}
	var a cpio.Archive
	for _, e := range want {
		a.Add(e)
	}
	got := cpiotest.Read(t, a.Close())
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Name != w.Name || g.Mode != w.Mode || !bytes.Equal(g.Data, w.Data) || g.Major != w.Major || g.Minor != w.Minor {
			t.Errorf("entry %d: got %+v, want %+v", i, g, w)
		}
	}
}

// The first header, byte by byte, as the kernel's documentation lays it out.
func TestCpioHeader(t *testing.T) {
	var a cpio.Archive
	a.Add(cpio.Entry{Name: "dev/console", Mode: cpio.ModeConsole, Major: 5, Minor: 1})
	want := "070701" + "00000001" + "00002180" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000005" + "00000001" + "0000000C" + "00000000" + "dev/console\x00" + "\x00\x00"
	if got := string(a.Close()[:len(want)]); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Whatever names and contents go in, the independent reader gives them back in order.
func TestCpioProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[a-z0-9/._-]{1,40}`), 0, 8).Draw(r, "names")
		contents := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 50), len(names), len(names)).Draw(r, "contents")
		var a cpio.Archive
		for i, name := range names {
			a.Add(cpio.Entry{Name: name, Mode: cpio.ModeFile, Data: contents[i]})
		}
		got := cpiotest.Read(t, a.Close())
		if len(got) != len(names) {
			r.Fatalf("%d entries, want %d", len(got), len(names))
		}
		for i, e := range got {
			if e.Name != names[i] || !bytes.Equal(e.Data, contents[i]) {
				r.Fatalf("entry %d: %+v, want %q with %q", i, e, names[i], contents[i])
			}
		}
	})
}
