package plan

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func noisy(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func TestJudge(t *testing.T) {
	zero, one, text := make([]byte, 4096), bytes.Repeat([]byte{0xFF}, 4096), bytes.Repeat([]byte("data"), 1024)
	stray := make([]byte, 4096)
	stray[4095] = 1
	almost := bytes.Clone(one)
	almost[0] = 0xFE
	old := Remember(noisy(4096, 1))
	tests := []struct {
		name    string
		promise Promise
		before  Memory
		unit    []byte
		want    Verdict
	}{
		{"zeros as promised", Zeros, Remember(text), zero, Clean},
		{"zeros that nobody promised", PerhapsZeros, Remember(text), zero, Clean},
		{"zeros after an erase", Erased, Remember(text), zero, Clean},
		{"zeros before and after", Erased, Remember(zero), zero, Clean},
		{"zeros where nothing could be read", Erased, Memory{}, zero, Clean},
		{"data instead of zeros", Zeros, Remember(text), text, Left},
		{"other data instead of zeros", Zeros, Remember(zero), text, Left},
		{"one byte instead of zeros", Zeros, Memory{}, stray, Left},
		{"ones instead of zeros", Zeros, Remember(text), one, Left},
		{"noise instead of zeros", Zeros, Remember(text), noisy(4096, 2), Left},
		{"discard that does nothing", PerhapsZeros, Remember(text), text, Unproven},
		{"discard that shows noise", PerhapsZeros, Remember(text), noisy(4096, 2), Unproven},
		{"ones after an erase", Erased, Remember(text), one, Clean},
		{"ones where nothing could be read", Erased, Memory{}, one, Clean},
		{"almost ones", Erased, Remember(text), almost, Left},
		{"new noise after an erase", Erased, old, noisy(4096, 2), Clean},
		{"new noise in a small sector", Erased, Remember(text[:512]), noisy(512, 3), Clean},
		{"the old noise", Erased, old, noisy(4096, 1), Unproven},
		{"noise where nothing could be read", Erased, Memory{}, noisy(4096, 2), Unproven},
		{"the old data", Erased, Remember(text), text, Left},
		{"other data", Erased, old, text, Left},
		{"a pattern of its own", Erased, old, bytes.Repeat([]byte{0xAA}, 4096), Left},
		{"one stray byte", Erased, old, stray, Left},
		{"no promise at all", 0, old, noisy(4096, 2), Left},
	}
	for _, tc := range tests {
		if got := Judge(tc.promise, tc.before, tc.unit); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// TestJudgeKnowsData: whatever bytes were there, the same bytes are clean only if they are nothing but zeros, or ones after an erase.
func TestJudgeKnowsData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SliceOfN(rapid.Byte(), 512, 512).Draw(t, "unit")
		p := rapid.SampledFrom([]Promise{Zeros, PerhapsZeros, Erased}).Draw(t, "promise")
		blank := bytes.Count(unit, []byte{0}) == len(unit)
		ones := p == Erased && bytes.Count(unit, []byte{0xFF}) == len(unit)
		if clean := Judge(p, Remember(unit), unit) == Clean; clean != (blank || ones) {
			t.Fatalf("clean: %t", clean)
		}
	})
}

// TestNoise: ciphers pass, and what people store does not.
func TestNoise(t *testing.T) {
	for seed := range byte(100) {
		for _, n := range []int{512, 4096} {
			if !noise(noisy(n, seed)) {
				t.Errorf("%d random bytes of seed %d do not count as noise", n, seed)
			}
		}
	}
	half := noisy(4096, 1)
	clear(half[2048:])
	low := noisy(4096, 2)
	for i := range low {
		low[i] &= 0x3f
	}
	for name, b := range map[string][]byte{"half empty": half, "six bits": low, "text": bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog. "), 91)} {
		if noise(b) {
			t.Errorf("%s counts as noise", name)
		}
	}
}

func TestBlank(t *testing.T) {
	if !Blank(make([]byte, 5)) || Blank([]byte{0, 1}) || Blank([]byte{1, 0}) || Blank(nil) {
		t.Error("blank is all zeros, and something")
	}
}
