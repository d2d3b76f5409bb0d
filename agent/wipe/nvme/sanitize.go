package nvme

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"ingot.dev/ingot/agent/wipe/plan"
)

// Fields of Sanitize's CDW10, figure 313.
const (
	exitFailure      = 1
	blockErase       = 2
	overwrite        = 3
	cryptoErase      = 4
	allowUnrestrict  = 1 << 3 // after a failure the disk may be tried by another method
	overwriteOnce    = 1 << 4
	logSanitize      = 0x81
	logSize          = 20
	pollEvery        = 2 * time.Second
	sanitizeQuestion = 2 * time.Minute
)

// States of the Sanitize Status log page (section 5.16.1.21), SSTAT bits 2:0.
const (
	neverDone = iota
	done
	underWay
	failed
	doneUnrestricted
)

// Sanitize erases a whole subsystem, which must be this one namespace, and waits for the end. A cancelled ctx stops the waiting;
// the disk goes on, also over a power cycle. after is time.After.
func Sanitize(ctx context.Context, p Port, kind plan.Kind, after func(time.Duration) <-chan time.Time, percent func(int)) error {
	can, err := Look(p)
	if err != nil {
		return err
	}
	if err := alone(can); err != nil {
		return err
	}
	word, err := sanitizeWord(kind)
	if err != nil {
		return err
	}
	// One from before a power cut may still be under way.
	if _, err := wait(ctx, p, after, percent); err != nil {
		return err
	}
	if err := p.Admin(Command{Opcode: opSanitize, CDW10: word, Timeout: sanitizeQuestion}); err != nil {
		return fmt.Errorf("starting to sanitize: %w", err)
	}
	state, err := wait(ctx, p, after, percent)
	if err != nil {
		return err
	}
	return outcome(p, state)
}

func outcome(p Port, state int) error {
	switch state {
	case done, doneUnrestricted:
		return nil
	case failed:
		err := errors.New("the disk says that its sanitize failed")
		// Until it is told to leave this state, a disk refuses all reads and writes.
		return errors.Join(err, p.Admin(Command{Opcode: opSanitize, CDW10: exitFailure, Timeout: sanitizeQuestion}))
	default:
		return fmt.Errorf("the disk acknowledged sanitize, and its log says it never did one (state %d)", state)
	}
}

func sanitizeWord(kind plan.Kind) (uint32, error) {
	switch kind {
	case plan.Block:
		return blockErase | allowUnrestrict, nil
	case plan.Crypto:
		return cryptoErase | allowUnrestrict, nil
	case plan.Pattern:
		return overwrite | allowUnrestrict | overwriteOnce, nil
	default:
		return 0, fmt.Errorf("there is no sanitize of kind %q", kind)
	}
}

// wait returns the state once nothing is under way.
func wait(ctx context.Context, p Port, after func(time.Duration) <-chan time.Time, percent func(int)) (int, error) {
	for {
		state, progress, err := status(p)
		if err != nil || state != underWay {
			return state, err
		}
		percent(progress)
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for the disk to sanitize itself: %w", ctx.Err())
		case <-after(pollEvery):
		}
	}
}

// status reads the log: SPROG in bytes 1:0 (of 65536), SSTAT in bytes 3:2.
func status(p Port) (state, percent int, err error) {
	log := make([]byte, logSize)
	// NUMDL (31:16) counts double words less one.
	cdw10 := uint32(logSize/4-1)<<16 | logSanitize
	if err := p.Admin(Command{Opcode: opGetLogPage, NSID: broadcast, CDW10: cdw10, Data: log, Timeout: question}); err != nil {
		return 0, 0, fmt.Errorf("reading the sanitize log: %w", err)
	}
	sprog := int(binary.LittleEndian.Uint16(log))
	return int(binary.LittleEndian.Uint16(log[2:]) & 7), sprog * 100 / 65536, nil
}
