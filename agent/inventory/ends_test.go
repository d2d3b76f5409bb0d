package inventory

import (
	"errors"
	"testing"

	"ingot.dev/ingot/agent/inventory/contents"
)

// marked is a disk of zeros but for one byte. Reading at fail is an error.
type marked struct{ at, size, fail int64 }

// Open implements Blocks.
func (m marked) Open(string) (Block, error) { return m, nil }

func (m marked) ReadAt(p []byte, offset int64) (int, error) {
	if m.fail > 0 && offset <= m.fail && m.fail < offset+int64(len(p)) {
		return 0, errors.New("input/output error")
	}
	clear(p)
	if i := m.at - offset; i >= 0 && i < int64(len(p)) {
		p[i] = 1
	}
	return len(p), nil
}

func (marked) Close() error { return nil }

// TestLostPartitionTable: a disk whose ends are zeros, since somebody zapped its partition table, is not blank while a partition or a copy of a
// superblock is where it was. A blank disk is erased without a person's yes, so what is there must be seen.
func TestLostPartitionTable(t *testing.T) {
	const mib, size = int64(1 << 20), int64(2e12) / 512 * 512
	for name, c := range map[string]struct {
		disk marked
		want string
	}{
		"zeros":                              {marked{-1, size, 0}, contents.Blank},
		"a tiny disk of zeros":               {marked{-1, 512, 0}, contents.Blank},
		"a small disk of zeros":              {marked{-1, 5*mib + 512, 0}, contents.Blank},
		"ext4 in the first partition":        {marked{mib + 1024 + 56, size, 0}, contents.Data},
		"LVM in the first partition":         {marked{mib + 512, size, 0}, contents.Data},
		"the last partition":                 {marked{size - 2*mib, size, 0}, contents.Data},
		"second superblock of btrfs":         {marked{64*mib + 64, size, 0}, contents.Data},
		"label of Ceph BlueStore":            {marked{1024 * mib, size, 0}, contents.Data},
		"a small disk, behind the first MiB": {marked{2 * mib, 5*mib + 512, 0}, contents.Data},
		"a place that cannot be read":        {marked{-1, size, 64 * mib}, contents.Unreadable},
		"the first byte":                     {marked{0, size, 0}, contents.Data},
	} {
		if got := collect(nil, c.disk, macs{}).look("sda", c.disk.size, 512); got != c.want {
			t.Errorf("%s: %s; want %s", name, got, c.want)
		}
	}
}
