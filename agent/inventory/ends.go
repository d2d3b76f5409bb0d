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
	head, tail, err := c.ends(name, size)
	if err != nil {
		c.Log.Warn("cannot read disk", "disk", name, "error", err)
		return contents.Unreadable
	}
	return contents.Classify(head, tail, sector)
}

// ends reads the first and the last bytes of a disk.
func (c *Collector) ends(name string, size int64) (head, tail []byte, err error) {
	f, err := c.Blocks.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("opening %s: %w", name, err)
	}
	defer f.Close()
	n := min(size, contents.Window)
	if head, err = window(f, 0, n); err != nil {
		return nil, nil, fmt.Errorf("reading the beginning of %s: %w", name, err)
	}
	if tail, err = window(f, size-n, n); err != nil {
		return nil, nil, fmt.Errorf("reading the end of %s: %w", name, err)
	}
	return head, tail, nil
}

func window(r io.ReaderAt, offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(io.NewSectionReader(r, offset, n), b)
	return b, err
}
