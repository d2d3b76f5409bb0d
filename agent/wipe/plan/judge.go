package plan

import (
	"bytes"
	"crypto/sha256"
)

// Memory is what is remembered of a unit before the erase: enough to know it again, and nothing of its contents.
type Memory struct {
	// Known is false when the unit could not be read.
	Known bool
	Sum   [sha256.Size]byte
}

// Remember takes a unit in.
func Remember(unit []byte) Memory { return Memory{Known: true, Sum: sha256.Sum256(unit)} }

// Verdict on one unit that was read back.
type Verdict int

const (
	// Clean: nothing of what was there is left.
	Clean Verdict = iota + 1
	// Unproven: what the unit shows proves nothing, so the step does not count and the next is tried.
	Unproven
	// Left: the disk acknowledged the step, and still shows what it should not.
	Left
)

// Judge says whether a unit is as the promise wants it.
//
// Zeros are always clean. For Erased, so is a unit of all ones (FFh is one of the two values that DLFEAT of NVMe can name, NVM
// Command Set 1.0, figure 97). Anything else must be noise, as after a change of keys: text, tables and file systems are none, so
// the disk lied. Noise that differs from what was there is clean. Noise that was there before, or where nothing could be read
// before, proves nothing: it may be a tenant's encrypted data, or what a disk always shows for blocks that it does not hold.
func Judge(p Promise, before Memory, unit []byte) Verdict {
	switch {
	case uniform(unit, 0x00):
		return Clean
	case p == PerhapsZeros:
		return Unproven
	case p != Erased:
		return Left
	case uniform(unit, 0xFF):
		return Clean
	case !noise(unit):
		return Left
	case before.Known && before.Sum != sha256.Sum256(unit):
		return Clean
	default:
		return Unproven
	}
}

// Blank says whether a unit is all zeros.
func Blank(unit []byte) bool { return uniform(unit, 0) }

func uniform(unit []byte, value byte) bool {
	return len(unit) > 0 && unit[0] == value && bytes.Equal(unit[1:], unit[:len(unit)-1])
}

// noise says whether the bytes could come from a cipher: no value stands out. Of 512 random bytes the most frequent value comes
// up about 8 times, of 4096 about 32 times; the limits leave room for one in many billions.
func noise(unit []byte) bool {
	var counts [256]int
	most, distinct := 0, 0
	for _, b := range unit {
		if counts[b]++; counts[b] == 1 {
			distinct++
		}
		most = max(most, counts[b])
	}
	return most <= len(unit)/16 && distinct >= 128
}
