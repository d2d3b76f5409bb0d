package firmware

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// files is Kernel for a folder of plain files. It notes what was unlocked, and that nothing is written outside of Writable.
type files struct {
	writable bool
	unlocked []string
	refuse   error
}

func (k *files) Writable(_ string, f func() error) error {
	if k.refuse != nil {
		return k.refuse
	}
	k.writable = true
	defer func() { k.writable = false }()
	return f()
}

func (k *files) Mutable(f *os.File) error {
	if !k.writable {
		return errors.New("outside of Writable")
	}
	k.unlocked = append(k.unlocked, filepath.Base(f.Name())[:8])
	// A write to efivarfs replaces the whole variable, one to a plain file does not.
	return os.Truncate(f.Name(), 0)
}

// machine makes a folder with these entries in this order.
func machine(t *testing.T, order []uint16, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name+global), append([]byte{7, 0, 0, 0}, data...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		put(fmt.Sprintf("Boot%04X", i), option(1, name, paths[name]))
	}
	if order != nil {
		put("BootOrder", formatOrder(order))
	}
	put("Timeout", []byte{0, 0})
	put("BootCurrent", []byte{1, 0})
	return dir
}

func mend(dir string, k Kernel) string {
	return Vars{Dir: dir, Kernel: k, Log: slog.New(slog.DiscardHandler)}.Mend(context.Background())
}

func list(t *testing.T, dir string) string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		out = append(out, strings.TrimSuffix(f.Name(), global))
	}
	return strings.Join(out, " ")
}

func order(t *testing.T, dir string) []uint16 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "BootOrder"+global))
	if err != nil || binary.LittleEndian.Uint32(b) != 7 {
		t.Fatalf("%x, %v", b, err)
	}
	o, err := ParseOrder(b[4:])
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestVarsAreMended(t *testing.T) {
	dir, k := machine(t, []uint16{0, 1, 2}, "ubuntu", "shell", "pxe"), &files{}
	if line := mend(dir, k); line != `removed 1 boot entries of disks ("ubuntu"); the network is first` {
		t.Error(line)
	}
	if got := list(t, dir); got != "Boot0001 Boot0002 BootCurrent BootOrder Timeout" {
		t.Error(got)
	}
	if got := order(t, dir); !slices.Equal(got, []uint16{2, 1}) {
		t.Error(got)
	}
	if !slices.Equal(k.unlocked, []string{"BootOrde", "Boot0000"}) {
		t.Errorf("unlocked %v: the order is to be written first, and nothing else is touched", k.unlocked)
	}
	k.unlocked = nil
	if line := mend(dir, k); line != "boot entries were in order" || k.unlocked != nil {
		t.Errorf("a second time: %s, %v", line, k.unlocked)
	}
}

func TestVarsOfAllKinds(t *testing.T) {
	empty := t.TempDir()
	noOrder := machine(t, nil, "ubuntu", "pxe")
	onlyDisks := machine(t, []uint16{0}, "ubuntu")
	broken := machine(t, []uint16{1, 0}, "pxe", "ubuntu")
	if err := os.WriteFile(filepath.Join(broken, "Boot0002"+global), []byte{7, 0, 0, 0, 1}, 0o600); err != nil {
		t.Fatal(err)
	}
	badOrder := machine(t, nil, "pxe")
	if err := os.WriteFile(filepath.Join(badOrder, "BootOrder"+global), []byte{7, 0, 0, 0, 1}, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, dir, line, left string }{
		{"BIOS", filepath.Join(empty, "none"), "no UEFI", ""},
		{"no entries", empty, "no UEFI", ""},
		{"no order", noOrder, "removed 1 boot entries of disks (\"ubuntu\"); the network is first", "Boot0001 BootCurrent BootOrder Timeout"},
		{"only disks", onlyDisks, "removed 1 boot entries of disks (\"ubuntu\"); there is no network entry to put first", "BootCurrent Timeout"},
		{"one that is broken is kept", broken, "removed 1 boot entries of disks (\"ubuntu\"); the network is first", "Boot0000 Boot0002 BootCurrent BootOrder Timeout"},
		{"an order that is broken", badOrder, "boot entries not mended: the boot order is malformed", "Boot0000 BootCurrent BootOrder Timeout"},
	} {
		if line := mend(tc.dir, &files{}); line != tc.line {
			t.Errorf("%s: %s", tc.name, line)
		}
		if tc.left != "" && list(t, tc.dir) != tc.left {
			t.Errorf("%s: %s is left", tc.name, list(t, tc.dir))
		}
	}
	locked := machine(t, []uint16{0, 1}, "ubuntu", "pxe")
	if line := mend(locked, &files{refuse: errors.New("no right to mount")}); !strings.Contains(line, "not mended: no right to mount") {
		t.Error(line)
	}
	if got := list(t, locked); got != "Boot0000 Boot0001 BootCurrent BootOrder Timeout" {
		t.Errorf("without the right to write: %s is left", got)
	}
}

func TestLongNamesAreCut(t *testing.T) {
	if got := cut(strings.Repeat("ö", 300)); len([]rune(got)) != 256 {
		t.Error(len([]rune(got)))
	}
}

// TestImmutableFiles: efivarfs sets the flag of chattr +i on what it does not know; Linux clears it on a real file system.
func TestImmutableFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "Boot0000"+global)
	if err := os.WriteFile(name, []byte{7, 0, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
		t.Logf("the flag cannot be set here, so clearing it is not proven: %v", err)
		return
	}
	if err := os.Remove(name); !errors.Is(err, unix.EPERM) {
		t.Errorf("control: an immutable file was removed: %v", err)
	}
	v := Vars{Dir: filepath.Dir(name), Kernel: Linux{}}
	if err := v.remove(filepath.Base(name)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Error("it is still there")
	}
}

// TestMountIsReadOnlyAgain needs root, for a mount of its own.
func TestMountIsReadOnlyAgain(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Logf("this user may not mount, so nothing is proven: %v", err)
		return
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	write := func() error { return os.WriteFile(filepath.Join(dir, "x"), nil, 0o600) }
	if err := write(); !errors.Is(err, unix.EROFS) {
		t.Errorf("control: before: %v", err)
	}
	if err := (Linux{}).Writable(dir, write); err != nil {
		t.Errorf("within: %v", err)
	}
	if err := write(); !errors.Is(err, unix.EROFS) {
		t.Errorf("after: %v", err)
	}
}
