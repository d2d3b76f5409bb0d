package engine

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// stream is a source of random numbers for one use. Streams of one seed are independent of each other.
type stream struct{ *rand.Rand }

// newStream derives a stream from the seed and the name of its use.
func newStream(seed uint64, use string) stream {
	h := fnv.New64a()
	_, _ = h.Write([]byte(use)) // a hash takes every byte
	return stream{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// chance is true in p of all cases.
func (s stream) chance(p float64) bool { return s.Float64() < p }

// between is a duration in [a, b).
func (s stream) between(a, b time.Duration) time.Duration {
	if b <= a {
		return a
	}
	return a + time.Duration(s.Int64N(int64(b-a)))
}

// upTo is a number in [0, n).
func (s stream) upTo(n int) int { return s.IntN(n) }

const letters = "bcdfghjkmnpqrstvwxz23456789"

// id is a random name of n characters.
func (s stream) id(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[s.IntN(len(letters))]
	}
	return string(b)
}

// Read fills p; it makes a stream an io.Reader.
func (s stream) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.Uint32())
	}
	return len(p), nil
}
