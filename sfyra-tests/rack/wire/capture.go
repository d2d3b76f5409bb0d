package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/pcap"
)

// maxCapture is the largest capture file in bytes: a few netboots of a server.
const maxCapture = 512 << 20

// backlog is what the kernel keeps of frames that were not read yet, in bytes: a busy host reads a whole initramfs late.
const backlog = 32 << 20

// maxKept is how many frames are kept in memory for Await.
const maxKept = 4096

// Capture records the frames of one device to a file, and lets tests wait for
// a frame. It is a witness that shares no code with the servers it watches.
type Capture struct {
	port *Port
	file *os.File
	now  func() time.Time
	work sync.WaitGroup

	mu     sync.Mutex
	kept   [][]byte
	change chan struct{} // closed and replaced at each frame
	ended  error
}

// StartCapture records frames of device into a new pcap file until Close. Past
// 512 MiB the file grows no more; frames are still seen by Await.
func StartCapture(device, path string, now func() time.Time) (*Capture, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("starting a capture: %w", err)
	}
	writer, err := pcap.NewWriter(file, maxCapture)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	port, err := OpenPort(device)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a capture: %w", err), file.Close())
	}
	if err := port.keep(backlog); err != nil {
		return nil, errors.Join(err, port.Close(), file.Close())
	}
	c := &Capture{port: port, file: file, now: now, change: make(chan struct{})}
	c.work.Go(func() { c.record(writer) })
	return c, nil
}

func (c *Capture) record(writer *pcap.Writer) {
	buf := make([]byte, pcap.SnapLen)
	var failed error
	for failed == nil {
		n, err := c.port.Receive(buf)
		if err != nil {
			failed = err
			break
		}
		if err := writer.Write(c.now(), buf[:n]); err != nil && !errors.Is(err, pcap.ErrFull) {
			failed = err
		}
		c.keep(slices.Clone(buf[:n]))
	}
	c.end(failed)
}

func (c *Capture) keep(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) == maxKept {
		c.kept = slices.Delete(c.kept, 0, maxKept/2)
	}
	c.kept = append(c.kept, frame)
	close(c.change)
	c.change = make(chan struct{})
}

func (c *Capture) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = err
	close(c.change)
	c.change = nil
}

// Await returns the first frame that matches, from the start of the capture.
func (c *Capture) Await(ctx context.Context, match func(frame []byte) bool) ([]byte, error) {
	for {
		frame, change, err := c.find(match)
		if frame != nil || err != nil {
			return frame, err
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a frame on %s: %w", c.port.file.Name(), ctx.Err())
		}
	}
}

func (c *Capture) find(match func([]byte) bool) ([]byte, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.kept, match); i >= 0 {
		return c.kept[i], nil, nil
	}
	return nil, c.change, c.ended
}

// Count is how many of the kept frames match.
func (c *Capture) Count(match func(frame []byte) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, frame := range c.kept {
		if match(frame) {
			n++
		}
	}
	return n
}

// Close ends the capture; the file is complete then.
func (c *Capture) Close() error {
	err := c.port.Close()
	c.work.Wait()
	if err := errors.Join(err, c.file.Close()); err != nil {
		return fmt.Errorf("ending a capture: %w", err)
	}
	return nil
}
