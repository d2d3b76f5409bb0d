// Command bugs rebuilds old bugs, other people's and our own, on our code, one at a time, and shows that the proof would catch each of them. Layer 5, proof.
//
//	go run ./sfyra-tests/sim/bugs                 all of them
//	go run ./sfyra-tests/sim/bugs --only two-owners --seeds 2000
//
// A bug is a file in patches: what it is, where it comes from, who must catch it, and edits that are laid over the source while it is built. The tool holds that
//   - without a bug every catcher passes, in the same run: else a catch means nothing;
//   - an edit replaces text that is there exactly once. One that no longer applies, or does not compile, is an error and never a catch;
//   - every catcher that a bug names has to catch it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
)

// options are the flags.
type options struct {
	only  string
	seeds int
	quick bool
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "rebuild this bug alone")
	flag.IntVar(&o.seeds, "seeds", 500, "how many seeds the simulator tries")
	flag.BoolVar(&o.quick, "quick", false, "ask the tests alone, and the simulator only about bugs that no test catches")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, o, os.Stdout)
	stop()
	os.Exit(code)
}

// run returns 0 when every bug was caught, 1 when one was not, 2 when nothing could be shown.
func run(ctx context.Context, o options, out io.Writer) int {
	bugs, err := all()
	if o.only != "" {
		bugs = slices.DeleteFunc(bugs, func(b bug) bool { return b.name != o.only })
	}
	for i := range bugs {
		bugs[i].choose(o.quick)
	}
	if err == nil && len(bugs) == 0 {
		err = fmt.Errorf("finding the bug %q: there is no such file", o.only)
	}
	if err == nil {
		err = control(ctx, bugs, o, out)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bugs: %v\n", err)
		return 2
	}
	missed := 0
	for _, b := range bugs {
		caught, err := b.hunt(ctx, o, out)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bugs: %s: %v\n", b.name, err)
			return 2
		}
		if !caught {
			missed++
		}
	}
	fmt.Fprintf(out, "%d old bugs, %d caught, %d missed\n", len(bugs), len(bugs)-missed, missed)
	return min(missed, 1)
}

// control shows that the catchers pass without any bug.
func control(ctx context.Context, bugs []bug, o options, out io.Writer) error {
	var seen []string
	for _, b := range bugs {
		for _, c := range b.catchers {
			if slices.Contains(seen, c) {
				continue
			}
			seen = append(seen, c)
			by, said, err := catch(ctx, c, "", o)
			if err != nil {
				return fmt.Errorf("running %s without a bug: %w", c, err)
			}
			if by != "" {
				return fmt.Errorf("running %s without a bug: %s fails, so a catch would mean nothing\n%s", c, by, said)
			}
			fmt.Fprintf(out, "control: %s passes without a bug\n", c)
		}
	}
	return nil
}

// hunt lays the bug over the source and asks its catchers.
func (b bug) hunt(ctx context.Context, o options, out io.Writer) (caught bool, err error) {
	dir, err := os.MkdirTemp("", "bugs")
	if err != nil {
		return false, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := b.overlay(dir)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "%s: %s\n", b.name, b.title)
	caught = true
	for _, c := range b.catchers {
		by, _, err := catch(ctx, c, overlay, o)
		switch {
		case err != nil:
			return false, err
		case by == "":
			caught = false
			fmt.Fprintf(out, "  MISSED by %s\n", c)
		default:
			fmt.Fprintf(out, "  caught by %s: %s\n", c, by)
		}
	}
	return caught, nil
}
