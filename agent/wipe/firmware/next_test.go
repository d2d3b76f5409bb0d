package firmware

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func next(dir string, k Kernel) string {
	return Vars{Dir: dir, Kernel: k, Log: slog.New(slog.DiscardHandler)}.Next(context.Background())
}

// nextOf is the number in BootNext; false without one.
func nextOf(t *testing.T, dir string) (uint16, bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "BootNext"+global))
	if errors.Is(err, os.ErrNotExist) {
		return 0, false
	}
	if err != nil || len(b) != 6 || binary.LittleEndian.Uint32(b) != 7 {
		t.Fatalf("%x, %v", b, err)
	}
	return binary.LittleEndian.Uint16(b[4:]), true
}

// TestNetworkNext: the entry that the machine came from is next, once, or the first of the network; nothing else is touched, whatever is on the disks.
func TestNetworkNext(t *testing.T) {
	for name, c := range map[string]struct {
		order   []uint16
		entries []string
		want    int
	}{
		"the one that it came from":         {[]uint16{0, 2, 1}, []string{"ubuntu", "pxe", "http"}, 1},
		"it came from a disk":               {[]uint16{0, 1, 3, 2}, []string{"shell", "ubuntu", "pxe", "http"}, 3},
		"the network fell out of the order": {[]uint16{1}, []string{"pxe", "ubuntu"}, 0},
		"no network entry":                  {[]uint16{0, 1}, []string{"shell", "ubuntu"}, -1},
	} {
		dir, k := machine(t, c.order, c.entries...), &files{}
		before := list(t, dir)
		line := next(dir, k)
		got, ok := nextOf(t, dir)
		if ok != (c.want >= 0) || ok && int(got) != c.want {
			t.Errorf("%s: next is %d, %v (%s)", name, got, ok, line)
		}
		if !slices.Equal(order(t, dir), c.order) || len(k.unlocked) > 0 {
			t.Errorf("%s: the order is %v, unlocked %v", name, order(t, dir), k.unlocked)
		}
		_ = os.Remove(filepath.Join(dir, "BootNext"+global))
		if after := list(t, dir); after != before {
			t.Errorf("%s: %s became %s", name, before, after)
		}
	}
}

// TestNetworkNextWithoutUEFI: there is nothing to write, and a firmware that refuses is said so.
func TestNetworkNextWithoutUEFI(t *testing.T) {
	if line := next(t.TempDir(), &files{}); line != "no UEFI: the firmware boots by its own order" {
		t.Error(line)
	}
	dir := machine(t, []uint16{0}, "pxe")
	if line := next(dir, &files{refuse: errors.New("read-only")}); line != "the firmware boots by its own order: read-only" {
		t.Error(line)
	}
	if _, ok := nextOf(t, dir); ok {
		t.Error("it was written all the same")
	}
}
