package wipe

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"ingot.dev/ingot/agent/wipe/plan"
)

// remember chooses the places that are read back later, and takes in what is there now. A place that cannot be read stays
// unknown; only zeros or ones will do there afterwards.
func (j *job) remember(ctx context.Context) error {
	random := make([]byte, 8*plan.Samples)
	if _, err := io.ReadFull(j.cfg.Random, random); err != nil {
		return fmt.Errorf("choosing blocks by chance: %w", err)
	}
	numbers := make([]uint64, plan.Samples)
	for i := range numbers {
		numbers[i] = binary.LittleEndian.Uint64(random[8*i:])
	}
	j.places = plan.Places(j.facts.Size, j.facts.Sector, numbers)
	j.before = make([]plan.Memory, len(j.places))
	j.unit = int(plan.Unit(j.facts.Size, j.facts.Sector))
	j.buf = aligned(max(readAtOnce, j.unit))
	failed := 0
	err := j.each(ctx, j.places, func(i int, unit []byte, err error) error {
		if err == nil {
			j.before[i] = plan.Remember(unit)
		} else if failed++; failed >= patience {
			return errPatience
		}
		return nil
	})
	if errors.Is(err, errPatience) {
		return nil
	}
	return err
}

// patience is how many reads may fail before the rest stays unknown: each one can take a dying disk half a minute.
const patience = 8

var errPatience = errors.New("too many reads fail")

// verify reads back what the step was to erase. The count of blocks is that of the last verification that succeeded.
func (j *job) verify(ctx context.Context, s plan.Step) error {
	j.gauge.phase(PhaseVerify)
	places, before := j.places, j.before
	if s.Method == plan.Signatures {
		places, before = plan.RangePlaces(plan.SignaturePlaces(j.facts.Size), int64(j.unit)), nil
	}
	err := j.each(ctx, places, func(i int, unit []byte, err error) error {
		if err != nil {
			return fmt.Errorf("reading back block at byte %d: %w", places[i], err)
		}
		var memory plan.Memory
		if before != nil {
			memory = before[i]
		}
		switch plan.Judge(s.Promise, memory, unit) {
		case plan.Clean:
			return nil
		case plan.Unproven:
			return fmt.Errorf("%s: %w (byte %d)", s.Method, errUnproven, places[i])
		default:
			return lie{fmt.Errorf("%s was acknowledged, yet the block at byte %d is not erased: the disk cannot be trusted; replace it", s.Method, places[i])}
		}
	})
	if err == nil {
		j.row.BlocksRead = max(j.row.BlocksRead, int64(len(places)))
	}
	return err
}

// blank says whether all that is read back is zeros by now.
func (j *job) blank(ctx context.Context) (bool, error) {
	blank := true
	places := plan.RangePlaces(plan.SignaturePlaces(j.facts.Size), int64(j.unit))
	err := j.each(ctx, places, func(_ int, unit []byte, err error) error {
		blank = blank && err == nil && plan.Blank(unit)
		return err
	})
	return blank, err
}

// readAtOnce is how many bytes of units that lie side by side are read together.
const readAtOnce = 128 << 10

// each reads one unit after the other. It stops at the first error that see returns, or when the disk hangs.
func (j *job) each(ctx context.Context, places []int64, see func(i int, unit []byte, err error) error) error {
	for i := 0; i < len(places); {
		n := j.neighbours(places[i:])
		if n > 1 && j.read(ctx, places[i], n) != nil && !j.hangs {
			// Read one by one, it shows which of them cannot be read.
			n = 1
		}
		var err error
		if n == 1 {
			err = j.read(ctx, places[i], n)
		}
		if j.hangs || ctx.Err() != nil {
			return cmp.Or(err, ctx.Err(), errHangs)
		}
		for k := range n {
			if err := see(i+k, j.buf[k*j.unit:(k+1)*j.unit], err); err != nil {
				return err
			}
		}
		i += n
		j.gauge.part(int64(i), int64(len(places)))
	}
	return nil
}

// neighbours counts the units at the beginning that lie side by side and can be read in one go.
func (j *job) neighbours(places []int64) int {
	n := 1
	for n < len(places) && n < len(j.buf)/j.unit && places[n] == places[n-1]+int64(j.unit) {
		n++
	}
	return n
}

// read fills the buffer with n units.
func (j *job) read(ctx context.Context, at int64, n int) error {
	return j.call(ctx, callTime, fmt.Sprintf("reading at byte %d", at), func() error {
		b := j.buf[:n*j.unit]
		done, err := j.dev.ReadAt(b, at)
		if done == len(b) {
			return nil
		}
		return cmp.Or(err, io.ErrUnexpectedEOF)
	})
}

// aligned makes memory that the kernel can read a disk into without a copy (O_DIRECT).
func aligned(n int) []byte {
	const page = 4096
	b := make([]byte, n+page)
	skip := (page - int(uintptr(unsafe.Pointer(&b[0]))%page)) % page
	return b[skip : skip+n : skip+n]
}
