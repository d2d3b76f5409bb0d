package inventory

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"ingot.dev/ingot/agent/inventory/contents"
)

// recorded loads a tree of testdata.
func recorded(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	tree := fstest.MapFS{}
	for _, f := range archive.Files {
		if link, target, ok := strings.Cut(f.Name, " -> "); ok {
			symlink(tree, link, target)
			continue
		}
		file, binary := strings.CutSuffix(f.Name, " [hex]")
		data := f.Data
		if binary {
			if data, err = hex.DecodeString(strings.ReplaceAll(string(f.Data), "\n", "")); err != nil {
				t.Fatal(err)
			}
		}
		tree[file] = &fstest.MapFile{Data: data}
	}
	return tree
}

func symlink(tree fstest.MapFS, name, target string) {
	tree[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
}

func file(tree fstest.MapFS, name, text string) { tree[name] = &fstest.MapFile{Data: []byte(text)} }

// images are the bytes of disks by name; a disk that is not there is all zeros.
type images map[string][]byte

type image struct {
	b    []byte
	size int64
}

func (i images) Open(name string) (Block, error) {
	if b, ok := i[name]; ok && b == nil {
		return nil, errors.New("input/output error")
	}
	return image{i[name], 1 << 40}, nil
}

func (i image) ReadAt(p []byte, offset int64) (int, error) {
	clear(p)
	if offset < int64(len(i.b)) {
		copy(p, i.b[offset:])
	}
	return len(p), nil
}

func (image) Close() error { return nil }

// macs are permanent addresses by interface.
type macs map[string]string

func (m macs) PermanentMAC(name string) string { return m[name] }

func never(time.Duration) <-chan time.Time { return nil }

func collect(tree fs.FS, blocks Blocks, links Links) *Collector {
	return &Collector{Root: tree, Blocks: blocks, Links: links, After: never, Log: slog.New(slog.DiscardHandler), AgentVersion: "v1"}
}

// bootable is the beginning of a disk with boot code and an active partition.
func bootable() []byte {
	b := make([]byte, 512)
	b[0], b[446], b[450], b[510], b[511] = 0xEB, 0x80, 0x83, 0x55, 0xAA
	return b
}

// blocked is a disk that does not answer until the test ends.
type blocked struct{ ctx context.Context }

func (b blocked) Open(name string) (Block, error) {
	if name == "sda" {
		<-b.ctx.Done()
		return nil, io.ErrClosedPipe
	}
	return image{}, nil
}

func TestAHangingDiskDoesNotHangTheInventory(t *testing.T) {
	c := collect(recorded(t, "qemu-ovmf.txtar"), blocked{t.Context()}, macs{})
	expired := make(chan time.Time, 1)
	c.After = func(d time.Duration) <-chan time.Time {
		if d != readTime {
			t.Errorf("the bound is %s", d)
		}
		expired <- time.Time{}
		return expired
	}
	for _, d := range c.Collect(t.Context()).GetDisks() {
		if d.GetName() == "sda" && d.GetContents() != contents.Unreadable {
			t.Errorf("the disk that hangs is called %s", d.GetContents())
		}
	}
}
