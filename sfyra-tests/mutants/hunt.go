package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
)

// verdict is what became of one mutant.
type verdict struct {
	mutant *mutant
	// by is the name of the killer; empty for a survivor.
	by string
	// reached says that some killer runs the code.
	reached bool
	// cut says that the clock ended a run, which proves nothing.
	cut bool
	// said is the end of what the killer wrote.
	said string
}

// hunt lets the killers loose on each mutant, several at a time.
func (b *bench) hunt(ctx context.Context, mutants []*mutant, parallel int, out io.Writer) []verdict {
	verdicts := make([]verdict, len(mutants))
	work := make(chan int)
	var wait sync.WaitGroup
	for range max(parallel, 1) {
		wait.Go(func() {
			for i := range work {
				verdicts[i] = b.try(ctx, mutants[i])
			}
		})
	}
	for i := range mutants {
		if ctx.Err() != nil {
			break
		}
		if i > 0 && i%250 == 0 {
			fmt.Fprintf(out, "%d of %d\n", i, len(mutants))
		}
		work <- i
	}
	close(work)
	wait.Wait()
	return verdicts
}

// try asks the killers in their order. One that does not reach the mutant cannot notice it and is not run.
func (b *bench) try(ctx context.Context, m *mutant) verdict {
	v := verdict{mutant: m}
	for _, k := range b.killers {
		if !k.reached[m.id] || k.target != nil && !slices.Contains(b.of(k.target), m) {
			continue
		}
		v.reached = true
		said, code, err := k.mutated(ctx, m.id)
		v.said = tail(said)
		v.cut = v.cut || err != nil
		if err == nil && code != 0 {
			v.by, v.cut = k.name, false
			return v
		}
	}
	return v
}

func (b *bench) of(t *target) []*mutant {
	return slices.DeleteFunc(slices.Clone(b.mutants), func(m *mutant) bool { return m.folder != t.folder })
}
