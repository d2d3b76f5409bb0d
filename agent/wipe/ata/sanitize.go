package ata

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ingot.dev/ingot/agent/wipe/plan"
)

// The sanitize feature set, section 7.41: one command code, the operation in FEATURES, a key in LBA against accidents.
const (
	cmdSanitize = 0xB4

	opStatus    = 0x0000
	opCrypto    = 0x0011
	opBlock     = 0x0012
	opOverwrite = 0x0014

	keyCrypto    = 0x43727970
	keyBlock     = 0x426B4572
	keyOverwrite = 0x4F57 << 32 // bits 31:0 are the pattern: zeros

	// clearFailed (COUNT bit 0 of the status command) ends the state after a failure.
	clearFailed = 1 << 0
	// failureMode (COUNT bit 4) allows the disk to leave the state after a failure by clearFailed.
	failureMode = 1 << 4
	// onePass: 0 would mean sixteen.
	onePass = 1

	countDone     = 1 << 15
	countUnderWay = 1 << 14
	countFrozen   = 1 << 13

	pollEvery = 2 * time.Second
)

var errBroken = errors.New("the disk says that its sanitize failed")

type sanitizeState struct {
	done, underWay, frozen bool
	percent                int
}

// Sanitize runs a sanitize operation and waits for its end. A cancelled ctx stops the waiting; the disk goes on, also over a power
// cycle. after is time.After.
func Sanitize(ctx context.Context, p Port, kind plan.Kind, after func(time.Duration) <-chan time.Time, percent func(int)) error {
	c := Command{Code: cmdSanitize, Extended: true, Count: failureMode, Timeout: question}
	switch kind {
	case plan.Block:
		c.Features, c.LBA = opBlock, keyBlock
	case plan.Crypto:
		c.Features, c.LBA = opCrypto, keyCrypto
	case plan.Pattern:
		c.Features, c.LBA, c.Count = opOverwrite, keyOverwrite, failureMode|onePass
	default:
		return fmt.Errorf("there is no sanitize of kind %q", kind)
	}
	// One from before a power cut may still be under way; one that failed is cleared.
	if _, err := wait(ctx, p, after, percent); err != nil && !errors.Is(err, errBroken) {
		return err
	}
	if _, err := p.Do(c); err != nil {
		return fmt.Errorf("starting to sanitize: %w", err)
	}
	s, err := wait(ctx, p, after, percent)
	if err != nil {
		return err
	}
	if !s.done {
		return errors.New("the disk acknowledged sanitize, and says that it completed none")
	}
	return nil
}

// wait returns once nothing is under way. After a failure it clears the failure, so that other methods may be tried.
func wait(ctx context.Context, p Port, after func(time.Duration) <-chan time.Time, percent func(int)) (sanitizeState, error) {
	for {
		s, err := sanitizeStatus(p, false)
		if errors.Is(err, errBroken) {
			_, cleared := sanitizeStatus(p, true)
			return s, errors.Join(err, cleared)
		}
		if err != nil || !s.underWay {
			return s, err
		}
		percent(s.percent)
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("waiting for the disk to sanitize itself: %w", ctx.Err())
		case <-after(pollEvery):
		}
	}
}

// sanitizeStatus asks how a sanitize fares (section 7.41.7). The command is aborted with reason 1 in LBA when the last one failed.
func sanitizeStatus(p Port, reset bool) (sanitizeState, error) {
	c := Command{Code: cmdSanitize, Features: opStatus, Extended: true, Timeout: question}
	if reset {
		c.Count = clearFailed
	}
	r, err := p.Do(c)
	switch {
	case err != nil && r.LBA&0xff == 1:
		return sanitizeState{}, errors.Join(errBroken, err)
	case err != nil:
		return sanitizeState{}, fmt.Errorf("asking how the sanitize fares: %w", err)
	}
	return sanitizeState{
		done: r.Count&countDone != 0, underWay: r.Count&countUnderWay != 0, frozen: r.Count&countFrozen != 0,
		percent: int(r.LBA&0xffff) * 100 / 65536,
	}, nil
}
