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
	j.buf = aligned(int(plan.Unit(j.facts.Size, j.facts.Sector)))
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
		places, before = plan.RangePlaces(plan.SignaturePlaces(j.facts.Size), int64(len(j.buf))), nil
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
	places := plan.RangePlaces(plan.SignaturePlaces(j.facts.Size), int64(len(j.buf)))
	err := j.each(ctx, places, func(_ int, unit []byte, err error) error {
		blank = blank && err == nil && plan.Blank(unit)
		return err
	})
	return blank, err
}

// each reads one unit after the other. It stops at the first error that see returns, or when the disk hangs.
func (j *job) each(ctx context.Context, places []int64, see func(i int, unit []byte, err error) error) error {
	for i, at := range places {
		err := j.call(ctx, callTime, fmt.Sprintf("reading at byte %d", at), func() error {
			n, err := j.dev.ReadAt(j.buf, at)
			if n == len(j.buf) {
				return nil
			}
			return cmp.Or(err, io.ErrUnexpectedEOF)
		})
		if j.hangs || ctx.Err() != nil {
			return err
		}
		if err := see(i, j.buf, err); err != nil {
			return err
		}
		j.gauge.part(int64(i)+1, int64(len(places)))
	}
	return nil
}

// aligned makes memory that the kernel can read a disk into without a copy (O_DIRECT).
func aligned(n int) []byte {
	const page = 4096
	b := make([]byte, n+page)
	skip := (page - int(uintptr(unsafe.Pointer(&b[0]))%page)) % page
	return b[skip : skip+n : skip+n]
}
