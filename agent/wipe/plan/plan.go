// Package plan decides how a disk is erased, and judges what is read back afterwards.
//
// Layer 1, pure: no I/O, clock, randomness or logging. Everything that could make a wipe claim too much is decided here, by
// tables that can be read.
//
// Invariants: every target gets a plan or an error; every choice of a plan reaches at least the level that was asked for;
// no choice of a plan can touch a namespace other than the one that it is for.
package plan

import (
	"fmt"
	"strings"
)

// Plan says what to do with one disk.
type Plan struct {
	// Before is tried first and may fail. It is no proof of anything.
	Before []Step
	// Choices are tried in order until one is verified. There is at least one.
	Choices []Step
}

// Reached is the level that the plan reaches at least, whichever choice it ends with.
func (p Plan) Reached() Level {
	least := Purge
	for _, s := range p.Choices {
		if !s.Gives.AtLeast(least) {
			least = s.Gives
		}
	}
	return least
}

// UnreachableError says that a disk cannot be erased as thoroughly as was asked.
type UnreachableError struct {
	Asked, Strongest Level
	// Because names what stands in the way, for people; it may be empty.
	Because []string
}

// Error names the strongest level that is possible, since that is what a person must decide about.
func (e *UnreachableError) Error() string {
	why := ""
	if len(e.Because) > 0 {
		why = " (" + strings.Join(e.Because, "; ") + ")"
	}
	return fmt.Sprintf("the disk has no method for %s%s; the strongest level it can reach is %s: choose that level, or take the disk out", e.Asked, why, e.Strongest)
}

// For makes the plan for one disk. Errors: ErrReadOnly, *UnreachableError, or a target that makes no sense.
func For(t Target) (Plan, error) {
	if err := t.check(); err != nil {
		return Plan{}, err
	}
	switch t.Level {
	case Quick:
		return Plan{Before: quickly(t.Disk), Choices: possible(quicks, t.Disk)}, nil
	case Clear:
		return Plan{Choices: possible(clears, t.Disk)}, nil
	default:
		return purge(t.Disk)
	}
}

func purge(d Disk) (Plan, error) {
	choices := possible(purges, d)
	if len(choices) == 0 {
		return Plan{}, &UnreachableError{Asked: Purge, Strongest: Clear, Because: obstacles(d)}
	}
	return Plan{Choices: choices}, nil
}

// quickly discards what it can before a quick wipe: it costs little, and leaves less behind.
func quickly(d Disk) []Step {
	if d.DiscardMax == 0 {
		return nil
	}
	return []Step{{Method: Discard, Promise: PerhapsZeros, Gives: Quick}}
}

func possible(rules []rule, d Disk) []Step {
	var out []Step
	for _, r := range rules {
		if r.can(d) {
			out = append(out, r.step)
		}
	}
	return out
}

// obstacles says why abilities that are there cannot be used.
func obstacles(d Disk) []string {
	var out []string
	if (d.NVMe.Format || d.NVMe.Sanitize.any()) && !d.NVMe.Alone() {
		out = append(out, "its controller would erase other namespaces as well")
	}
	if d.ATA.Frozen || d.ATA.SanitizeFrozen {
		out = append(out, "the machine's firmware froze its erase commands")
	}
	if d.ATA.Security && !d.Rotational {
		out = append(out, "the security erase of a solid state drive is no more than Clear")
	}
	return out
}
