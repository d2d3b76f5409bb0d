// Command mutants measures how well the proof hunts: it plants hundreds of small faults in a pure package, one at a time, and counts those that the
// package's tests or the simulator notice. It is layer 5 (proof).
//
//	go run ./sfyra-tests/mutants --packages metal-controller/lifecycle,agent/wipe:plan*.go --killer 'run:./sfyra-tests/sim --seeds 50'
//
// All mutants of a package live in one overlay (mutant schemata): each is guarded by a number that comes from the environment, so every killer is
// compiled once and a mutant costs one run. The tool holds that
//   - the killers pass without a mutant, and each of them notices when every condition is turned around at once: otherwise nothing is measured;
//   - a mutant counts as killed only when a killer fails, or runs many times as many steps as without it. The clock decides nothing: a run that is cut
//     off by it counts as survived;
//   - a mutant that changes nothing is named with a reason in equivalent.txt; a line there that fits no mutant, or one that is killed, is an error.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path"
	"runtime"
	"slices"
	"strings"
)

// options are the flags.
type options struct {
	packages   string
	killers    []string
	equivalent string
	sample     int
	seed       uint64
	min        float64
	parallel   int
	only       int
	list       bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process. It returns 0, 1 for a score below the least, and 2 when nothing could be measured.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	o, err := parse(args, errs)
	if err != nil {
		return 2
	}
	r, err := measure(ctx, o, out)
	if err != nil {
		fmt.Fprintf(errs, "mutants: %v\n", err)
		return 2
	}
	if o.list {
		return 0
	}
	r.print(out)
	if score := r.total().score(); score < o.min {
		fmt.Fprintf(errs, "mutants: the score is %.1f %%, the least is %.1f %%\n", score, o.min)
		return 1
	}
	return 0
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("mutants", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&o.packages, "packages", "metal-controller/lifecycle", "folders of the packages, each with patterns of its files after a colon: `a,b:plan*.go+level.go`")
	f.Func("killer", "what shall notice, after the package's own tests: `test:PACKAGE ARGS` or `run:PACKAGE ARGS`; may be given again", func(s string) error {
		o.killers = append(o.killers, s)
		return nil
	})
	f.StringVar(&o.equivalent, "equivalent", "sfyra-tests/mutants/equivalent.txt", "file of mutants that change nothing")
	f.IntVar(&o.sample, "sample", 0, "try only so many, drawn by the seed")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the sample")
	f.Float64Var(&o.min, "min", 85, "least score in percent")
	f.IntVar(&o.parallel, "parallel", runtime.NumCPU(), "runs at a time")
	f.IntVar(&o.only, "only", 0, "try this mutant alone and show what its killer said")
	f.BoolVar(&o.list, "list", false, "list the mutants and try none")
	err := f.Parse(args)
	return o, err
}

// measure makes the mutants, builds the killers and lets them loose.
func measure(ctx context.Context, o options, out io.Writer) (*report, error) {
	targets, err := load(ctx, o.packages)
	if err != nil {
		return nil, err
	}
	same, err := readEquivalent(o.equivalent)
	if err != nil {
		return nil, err
	}
	b, err := build(ctx, targets, o.killers)
	if err != nil {
		return nil, err
	}
	defer b.remove()
	if o.list {
		list(out, b.mutants)
		return nil, nil
	}
	mutants := choose(b.mutants, o)
	fmt.Fprintf(out, "%d mutants, %d of them tried; control runs first\n", len(b.mutants), len(mutants))
	if err := b.control(ctx, out); err != nil {
		return nil, err
	}
	r := &report{left: b.left, same: same, verdicts: b.hunt(ctx, mutants, o.parallel, out), show: o.only != 0}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r, r.checkEquivalent(b.mutants)
}

// choose draws the sample: the same one for the same seed and the same code.
func choose(all []*mutant, o options) []*mutant {
	if o.only != 0 {
		return slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool { return m.id != o.only })
	}
	if o.sample <= 0 || o.sample >= len(all) {
		return all
	}
	drawn := slices.Clone(all)
	rand.New(rand.NewPCG(o.seed, 0)).Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	drawn = drawn[:o.sample]
	slices.SortFunc(drawn, func(a, b *mutant) int { return a.id - b.id })
	return drawn
}

func list(out io.Writer, all []*mutant) {
	for _, m := range all {
		fmt.Fprintf(out, "%d\t%s\n", m.id, m)
	}
}

// fields splits a killer's words.
func fields(killer string) (kind, pkg string, args []string, err error) {
	kind, rest, found := strings.Cut(killer, ":")
	words := strings.Fields(rest)
	if !found || len(words) == 0 || kind != "test" && kind != "run" {
		return "", "", nil, fmt.Errorf("reading the killer %q: it is test:PACKAGE ARGS or run:PACKAGE ARGS", killer)
	}
	return kind, "./" + path.Clean(words[0]), words[1:], nil
}
