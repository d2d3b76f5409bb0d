//go:build bench

package httpboot_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/httpboot"
)

const (
	benchFile   = 32 << 20
	benchRounds = 30
)

// TestBenchWire prints the rate of assets over HTTP on loopback, beside a bare sendfile loop over the same file (the floor):
//
//	go test -tags bench -run TestBenchWire -v ./pxe-server/httpboot
func TestBenchWire(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), benchFile/16)
	s := newSite(t, func(s *site) {
		s.kernel = content
		dir, image := folder(t, map[string][]byte{catalog.Kernel: content, catalog.Initramfs: []byte("x")})
		s.dir, s.cfg.Images = dir, map[string]httpboot.Image{catalog.AMD64: {Files: image}}
	})
	path := filepath.Join(s.dir, catalog.Kernel)
	url := s.url + "/boot/v1/agent/" + catalog.Kernel
	before := bareLoop(t, path)
	begin := time.Now()
	for range benchRounds {
		r, err := s.client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if err != nil || n != benchFile {
			t.Fatalf("%s: %d bytes, status %s, %v", url, n, r.Status, err)
		}
	}
	rate := megabytes(begin)
	after := bareLoop(t, path)
	floor := (before + after) / 2
	t.Logf("HTTP assets of 32 MiB: %.0f MB/s; floor (bare sendfile loop, before and after): %.0f and %.0f MB/s; ratio %.2f", rate, before, after, rate/floor)
}

func megabytes(begin time.Time) float64 {
	return float64(benchRounds) * benchFile / time.Since(begin).Seconds() / 1e6
}

// bareLoop sends the file over loopback without any protocol; io.Copy from a file to a TCP connection is sendfile(2).
func bareLoop(t *testing.T, path string) float64 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if f, err := os.Open(path); err == nil {
				_, _ = io.Copy(c, f)
				f.Close()
			}
			c.Close()
		}
	}()
	begin := time.Now()
	for range benchRounds {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, c); err != nil || n != benchFile {
			t.Fatalf("floor: %d bytes, %v", n, err)
		}
		c.Close()
	}
	return megabytes(begin)
}
