package wipe

import (
	"context"
	"errors"
	"fmt"

	"ingot.dev/ingot/agent/wipe/plan"
)

// Bytes that go to a disk in one call: small enough to show progress and to stop between them.
var chunks = map[plan.Method]int64{plan.Discard: 2 << 30, plan.ZeroOut: 64 << 20, plan.Overwrite: 8 << 20}

// errUnproven says that a step may have done nothing, which is no fault of the disk.
var errUnproven = errors.New("what the disk shows afterwards does not prove it")

// lie is an error that ends the wipe of a disk: it acknowledged what it did not do.
type lie struct{ error }

// erase makes the plan and carries it out.
func (j *job) erase(ctx context.Context) error {
	if err := j.call(ctx, callTime, "asking the disk what it can do", func() (err error) {
		j.facts, err = j.dev.Facts(ctx)
		return err
	}); err != nil {
		return err
	}
	j.row.SizeBytes = j.facts.Size
	p, err := plan.For(plan.Target{Level: j.level, Disk: j.facts})
	if err != nil {
		return err
	}
	if err := j.remember(ctx); err != nil {
		return err
	}
	if err := j.identify(ctx); err != nil {
		return err
	}
	for _, s := range p.Before {
		if err := j.step(ctx, s); err != nil && j.over(ctx, err) {
			return err
		}
	}
	return j.choose(ctx, p.Choices)
}

// choose tries one choice after the other. A step that the disk refuses, or breaks off, leads to the next; a lie does not.
func (j *job) choose(ctx context.Context, choices []plan.Step) error {
	var failed []error
	for _, s := range choices {
		err := j.step(ctx, s)
		if err == nil {
			err = j.verify(ctx, s)
		}
		if err == nil {
			j.row.Reached = s.Gives
			return j.finish(ctx, s)
		}
		if j.over(ctx, err) {
			return err
		}
		j.cfg.Log.InfoContext(ctx, "a method did not work; trying the next", "serial", j.id.Serial, "method", s.Method, "kind", s.Kind, "error", err)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// over says that no other step may be tried.
func (j *job) over(ctx context.Context, err error) bool {
	var l lie
	return ctx.Err() != nil || j.hangs || errors.As(err, &l)
}

// step carries out one step, and notes it once the disk acknowledged it.
func (j *job) step(ctx context.Context, s plan.Step) error {
	j.gauge.phase(string(s.Method))
	if err := j.do(ctx, s); err != nil {
		return wrap(string(s.Method), err)
	}
	if err := j.call(ctx, callTime, "flushing", j.dev.Flush); err != nil {
		return wrap(string(s.Method), err)
	}
	j.note(s.Method)
	return nil
}

func (j *job) do(ctx context.Context, s plan.Step) error {
	switch s.Method {
	case plan.Discard, plan.ZeroOut, plan.Overwrite:
		return j.ranges(ctx, s.Method, []plan.Range{{Length: j.facts.Size}})
	case plan.Signatures:
		return j.signatures(ctx)
	default:
		return j.call(ctx, diskTime, "waiting for the disk", func() error { return j.dev.EraseDisk(ctx, s, j.gauge.percent) })
	}
}

// signatures zeroes the places of signatures; where the kernel cannot, it writes.
func (j *job) signatures(ctx context.Context) error {
	places := plan.SignaturePlaces(j.facts.Size)
	err := j.ranges(ctx, plan.ZeroOut, places)
	if err == nil || j.over(ctx, err) {
		return err
	}
	return j.ranges(ctx, plan.Overwrite, places)
}

// ranges works through parts of the disk, chunk by chunk.
func (j *job) ranges(ctx context.Context, m plan.Method, parts []plan.Range) error {
	var done, total int64
	for _, p := range parts {
		total += p.Length
	}
	for _, p := range parts {
		for at := p.Offset; at < p.Offset+p.Length; at += chunks[m] {
			c := plan.Range{Offset: at, Length: min(chunks[m], p.Offset+p.Length-at)}
			if err := j.call(ctx, callTime, fmt.Sprintf("at byte %d", at), func() error { return j.dev.EraseRange(m, c) }); err != nil {
				return err
			}
			done += c.Length
			j.gauge.part(done, total)
		}
	}
	return nil
}

// finish leaves a disk that looks blank and has no partitions. After an erase that left noise, the places of signatures are
// zeroed: noise means nothing, but whoever looks at the ends could not tell it from data.
func (j *job) finish(ctx context.Context, s plan.Step) error {
	if s.Promise == plan.Erased {
		tidy := plan.Step{Method: plan.Signatures, Promise: plan.Zeros, Gives: s.Gives}
		blank, err := j.blank(ctx)
		if err != nil {
			return err
		}
		if !blank {
			if err := j.step(ctx, tidy); err != nil {
				return err
			}
			if err := j.verify(ctx, tidy); err != nil {
				return err
			}
		}
	}
	if err := j.call(ctx, callTime, "rescanning partitions", j.dev.Rescan); err != nil {
		// The partitions live on in this kernel alone, which is about to be switched off.
		j.cfg.Log.WarnContext(ctx, "cannot rescan partitions", "serial", j.id.Serial, "error", err)
	}
	return nil
}

// note adds a method to the row; the API keeps eight.
func (j *job) note(m plan.Method) {
	if n := len(j.row.Methods); n < 8 && (n == 0 || j.row.Methods[n-1] != string(m)) {
		j.row.Methods = append(j.row.Methods, string(m))
	}
}
