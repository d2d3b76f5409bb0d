package initramfs

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"testing"
)

// deflated reads the Huffman codes of a deflate stream (RFC 1951, sections 3.2.2 to 3.2.7): what iPXE checks of them.
type deflated struct {
	data []byte
	at   int // in bits
	// incomplete counts codes that leave a branch unused, blocks those that have codes of their own.
	blocks, incomplete int
}

func (d *deflated) bits(n int) (v int) {
	for i := range n {
		v |= int(d.data[d.at>>3]>>(d.at&7)&1) << i
		d.at++
	}
	return v
}

// code maps the length and the bits of a word to its symbol.
type code map[[2]int]int

func (d *deflated) code(lengths []int) code {
	c, word, room := code{}, 0, 1<<15
	for n := 1; n <= 15; n++ {
		for symbol, l := range lengths {
			if l == n {
				c[[2]int{n, word}] = symbol
				word, room = word+1, room-1<<(15-n)
			}
		}
		word <<= 1
	}
	if room != 0 {
		d.incomplete++
	}
	return c
}

func (d *deflated) symbol(c code) int {
	for n, word := 1, 0; n <= 15; n++ {
		word = word<<1 | d.bits(1)
		if s, ok := c[[2]int{n, word}]; ok {
			return s
		}
	}
	panic("no such word")
}

func (d *deflated) lengths(c code, n int) (out []int) {
	repeat := func(v, times int) {
		for range times {
			out = append(out, v)
		}
	}
	for len(out) < n {
		switch s := d.symbol(c); s {
		case 16:
			repeat(out[len(out)-1], 3+d.bits(2))
		case 17:
			repeat(0, 3+d.bits(3))
		case 18:
			repeat(0, 11+d.bits(7))
		default:
			out = append(out, s)
		}
	}
	return out
}

// own reads a block with codes of its own, to its end.
func (d *deflated) own() {
	d.blocks++
	literals, distances, words := 257+d.bits(5), 1+d.bits(5), 4+d.bits(4)
	first := make([]int, 19)
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:words] {
		first[i] = d.bits(3)
	}
	all := d.lengths(d.code(first), literals+distances)
	literal, distance := d.code(all[:literals]), d.code(all[literals:])
	for s := d.symbol(literal); s != 256; s = d.symbol(literal) {
		if s < 257 {
			continue
		}
		if s >= 265 && s < 285 {
			d.bits((s - 261) / 4)
		}
		if s := d.symbol(distance); s >= 4 {
			d.bits(s/2 - 1)
		}
	}
}

// read goes through the blocks. One with the fixed codes ends it: the data of this test has none before its end.
func (d *deflated) read() {
	for last := 0; last == 0; {
		last = d.bits(1)
		switch d.bits(2) {
		case 0:
			d.at = (d.at + 7) &^ 7
			size := d.bits(16)
			d.at += 16 + 8*size // its complement, and the bytes
		case 1:
			return
		case 2:
			d.own()
		}
	}
}

// TestPackedForIPXE: what PackKernel writes has complete codes only, also where all matches of a block have one distance. Go's own deflate is the control.
func TestPackedForIPXE(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	bare := make([]byte, 2<<20) // the second half stays zero
	for i := range bare[:1<<20] {
		bare[i] = byte(random.IntN(100))
	}
	copy(bare[arm64Offset:], arm64Magic)
	packed, err := PackKernel(t.Context(), bare)
	if err != nil {
		t.Fatal(err)
	}
	var control bytes.Buffer
	w := gzip.NewWriter(&control)
	if _, err := w.Write(bare); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const header = 10 // RFC 1952 section 2.3, without name, comment and extra fields
	ours, others := deflated{data: packed[header:]}, deflated{data: control.Bytes()[header:]}
	ours.read()
	others.read()
	if ours.blocks == 0 || ours.incomplete != 0 {
		t.Errorf("%d of the codes of %d blocks are incomplete", ours.incomplete, ours.blocks)
	}
	if others.incomplete == 0 {
		t.Errorf("control: all codes of %d blocks are complete", others.blocks)
	}
}
