//go:build bench

package tftp

import (
	"io"
	"net"
	"testing"
	"testing/fstest"
	"time"
)

// TestBenchWire prints the rate of one TFTP transfer over loopback, beside a bare exchange of packets of the same sizes
// (the floor):
//
//	go test -tags bench -run TestBenchWire -v ./pxe-server/tftp
func TestBenchWire(t *testing.T) {
	const size, block = 32 << 20, 1432
	s := serve(t, Config{Files: fstest.MapFS{"f": {Data: content(size)}}})
	begin := time.Now()
	got, _, err := fetch(t, s, "f", block, true)
	if err != nil || len(got) != size {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	rate := size / time.Since(begin).Seconds() / 1e6
	floor := pingPong(t, size, block)
	t.Logf("TFTP, blocks of %d, one at a time: %.1f MB/s; floor (bare UDP): %.1f MB/s; ratio %.2f", block, rate, floor, rate/floor)
}

func pingPong(t *testing.T, size, block int) float64 {
	a, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := net.DialUDP("udp", nil, a.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	go func() {
		buf := make([]byte, block+4)
		for {
			_, from, err := a.ReadFromUDP(buf)
			if err != nil {
				return
			}
			a.WriteToUDP(buf, from)
		}
	}()
	buf := make([]byte, block+4)
	begin := time.Now()
	for range size / block {
		if _, err := b.Write(buf[:4]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAtLeast(b, buf, block); err != nil {
			t.Fatal(err)
		}
	}
	return float64(size) / time.Since(begin).Seconds() / 1e6
}
