package inventory

import (
	"context"
	"fmt"
	"io"
	"time"

	"ingot.dev/ingot/agent/inventory/contents"
	"ingot.dev/ingot/agent/protocol"
)

// Bounds of looking at disks. A dying disk may keep a read for minutes; it counts as unreadable then.
const (
	readTime    = 20 * time.Second
	readWorkers = 8
)

// answer is what one disk shows.
type answer struct {
	disk *protocol.Disk
	kind string
}

// readContents looks at all disks at the same time, a few at once, and gives up together after readTime.
// A read that hangs in the kernel keeps its goroutine; nothing waits for it.
func (c *Collector) readContents(ctx context.Context, disks []*protocol.Disk) {
	answers := make(chan answer, len(disks))
	slots := make(chan struct{}, readWorkers)
	for _, d := range disks {
		d.Contents = contents.Unreadable
		name, size, sector := d.GetName(), d.GetSizeBytes(), int(d.GetSectorBytes())
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers <- answer{d, c.look(name, size, sector)}
		}()
	}
	expired := c.After(readTime)
	for range disks {
		select {
		case a := <-answers:
			a.disk.Contents = a.kind
		case <-expired:
			c.Log.Warn("a disk does not answer; it is reported as unreadable", "after", readTime)
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *Collector) look(name string, size int64, sector int) string {
	f, err := c.Blocks.Open(name)
	if err != nil {
		return c.unreadable(name, fmt.Errorf("opening it: %w", err))
	}
	defer f.Close()
	head, tail, err := ends(f, size)
	if err != nil {
		return c.unreadable(name, err)
	}
	kind := contents.Classify(head, tail, sector)
	if kind != contents.Blank {
		return kind
	}
	blank, err := blankFurtherIn(f, size)
	switch {
	case err != nil:
		return c.unreadable(name, err)
	case !blank:
		return contents.Data
	}
	return contents.Blank
}

func (c *Collector) unreadable(name string, err error) string {
	c.Log.Warn("cannot read disk", "disk", name, "error", err)
	return contents.Unreadable
}

// ends reads the first and the last bytes of a disk.
func ends(f io.ReaderAt, size int64) (head, tail []byte, err error) {
	n := min(size, contents.Window)
	if head, err = window(f, 0, n); err != nil {
		return nil, nil, fmt.Errorf("reading its beginning: %w", err)
	}
	if tail, err = window(f, size-n, n); err != nil {
		return nil, nil, fmt.Errorf("reading its end: %w", err)
	}
	return head, tail, nil
}

// blankFurtherIn looks where data is when the ends were cleared: a blank disk is erased without a person's yes.
func blankFurtherIn(f io.ReaderAt, size int64) (bool, error) {
	for _, p := range contents.Places(size) {
		b, err := window(f, p.Offset, p.Length)
		if err != nil {
			return false, fmt.Errorf("reading at byte %d: %w", p.Offset, err)
		}
		if !contents.Zeros(b) {
			return false, nil
		}
	}
	return true, nil
}

func window(r io.ReaderAt, offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(io.NewSectionReader(r, offset, n), b)
	return b, err
}
