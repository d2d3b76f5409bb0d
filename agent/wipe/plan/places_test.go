package plan

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func random() []uint64 {
	chance := rand.New(rand.NewPCG(1, 2))
	out := make([]uint64, Samples)
	for i := range out {
		out[i] = chance.Uint64()
	}
	return out
}

func TestSignaturePlaces(t *testing.T) {
	tests := map[string]struct {
		size int64
		want []Range
	}{
		"tiny":               {1 << 20, []Range{{0, 1 << 20}}},
		"both edges":         {8 << 20, []Range{{0, 8 << 20}}},
		"a little more":      {8<<20 + 512, []Range{{0, 4 << 20}, {4<<20 + 512, 4 << 20}}},
		"64 MiB is the edge": {64 << 20, []Range{{0, 4 << 20}, {60 << 20, 4 << 20}}},
		"btrfs":              {1 << 30, []Range{{0, 4 << 20}, {64 << 20, 64 << 10}, {1<<30 - 4<<20, 4 << 20}}},
		"large": {2000 << 30, []Range{
			{0, 4 << 20},
			{64 << 20, 64 << 10},
			{1 << 30, 64 << 10},
			{10 << 30, 64 << 10},
			{100 << 30, 64 << 10},
			{256 << 30, 64 << 10},
			{1000 << 30, 64 << 10},
			{2000<<30 - 4<<20, 4 << 20},
		}},
	}
	for name, tc := range tests {
		if got := SignaturePlaces(tc.size); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	const size, sector = 100 << 30, 512
	got := Places(size, sector, random())
	if len(got) < 2*(Window/4096)+1000 {
		t.Errorf("only %d places", len(got))
	}
	last := int64(size - 4096)
	for _, want := range []int64{0, 4096, Window - 4096, size - Window, last, 64 << 20, 1 << 30} {
		if !slices.Contains(got, want) {
			t.Errorf("byte %d is not read back", want)
		}
	}
	if !slices.IsSorted(got) || got[len(got)-1] != last {
		t.Error("not in order, or past the end")
	}
	t.Run("other numbers, other places", func(t *testing.T) {
		other := random()
		slices.Reverse(other)
		if slices.Equal(got, Places(size, sector, other)) {
			t.Error("the places do not depend on chance")
		}
	})
}

// TestPlacesFit: whatever the size, every unit lies on the disk, on a sector's edge, and every part of the disk has one.
func TestPlacesFit(t *testing.T) {
	numbers := random()
	rapid.Check(t, func(t *rapid.T) {
		sector := rapid.SampledFrom([]int{512, 4096, 65536}).Draw(t, "sector")
		size := rapid.Int64Range(1, 1<<40/int64(sector)).Draw(t, "sectors") * int64(sector)
		unit := Unit(size, sector)
		places := Places(size, sector, numbers)
		if unit%int64(sector) != 0 || unit > size || unit < min(size, 4096) && unit != int64(sector) {
			t.Fatalf("unit %d for %d bytes in sectors of %d", unit, size, sector)
		}
		before := int64(0)
		for _, at := range places {
			if at < 0 || at+unit > size || at%int64(sector) != 0 {
				t.Fatalf("byte %d of %d", at, size)
			}
			if gap := at - before; gap > size/Samples*2+2*unit {
				t.Fatalf("nothing is read back for %d bytes before %d of %d", gap, at, size)
			}
			before = at
		}
		if places[0] != 0 || places[len(places)-1] != size-unit {
			t.Fatalf("from %d to %d of %d", places[0], places[len(places)-1], size)
		}
		if all := size / unit; int64(len(places)) < min(all, Samples) {
			t.Fatalf("%d places of %d units", len(places), all)
		}
	})
}

func TestRangePlaces(t *testing.T) {
	got := RangePlaces([]Range{{0, 8192}, {6144, 6144}}, 4096)
	if want := []int64{0, 4096, 6144, 8192}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: the last unit of a range ends with it", got, want)
	}
}
