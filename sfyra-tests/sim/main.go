// Command sim attacks Ingot's decision core under virtual time; see the package engine for what that means. Layer 5, proof.
//
//	go run ./sfyra-tests/sim --seeds 10000            run seeds 1 to 10000 on all cores
//	go run ./sfyra-tests/sim --seed 42 --trace        run one seed and print what happened
//
// It exits with 1 when a rule was broken; then it prints the seed, the rule and the shortest story that it found, and how to see it again. Over many
// seeds it also fails when a fault never happened, since that fault then proves nothing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// The size at which garbage is collected: what runs of a few servers fill in a second or two, and more for a rack, whose objects alone fill the first.
const (
	heap     = 1 << 30
	heapEach = 4 << 20
)

// enough is how many seeds must see every fault.
const enough = 10000

// options are the flags.
type options struct {
	seed           uint64
	first          uint64
	seeds, servers int
	trace, full    bool
	enable         string
	disable        string
	profile        string
	workers        int
}

func main() {
	debug.SetGCPercent(-1) // runs leave much garbage and keep little, so it is collected when there is a heap full of it
	var o options
	flag.Uint64Var(&o.seed, "seed", 0, "run this seed alone")
	flag.Uint64Var(&o.first, "first", 1, "the first of many seeds")
	flag.IntVar(&o.seeds, "seeds", 1000, "how many seeds to run")
	flag.IntVar(&o.servers, "servers", 0, "how many servers; 0 lets each seed choose 2 to 8")
	flag.BoolVar(&o.trace, "trace", false, "with --seed: print what happened")
	flag.BoolVar(&o.full, "full", false, "do not shrink what failed")
	flag.StringVar(&o.enable, "with", "", "kinds of faults and gestures that every seed has, separated by commas")
	flag.StringVar(&o.disable, "without", "", "kinds of faults and gestures to leave out, separated by commas")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this file, for go tool pprof")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many seeds to run at once")
	flag.Parse()
	debug.SetMemoryLimit(heap + int64(o.servers)*heapEach)
	ok, err := run(o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run does what the flags say, and says whether every rule held.
func run(o options, out io.Writer) (bool, error) {
	with, err := engine.ParseSet(o.enable)
	if err != nil {
		return false, err
	}
	without, err := engine.ParseSet(o.disable)
	if err != nil {
		return false, err
	}
	stop, err := profiled(o.profile)
	if err != nil {
		return false, err
	}
	defer stop()
	cfg := engine.Config{Servers: o.servers, Enable: with, Disable: without, Forgers: true}
	if o.seed != 0 {
		return one(o, cfg, out), nil
	}
	return many(o, cfg, out), nil
}

// profiled profiles into a file, if one is named, until the function that it returns is called, or somebody interrupts the run.
func profiled(name string) (func(), error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("profiling: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profiling: %w", err), f.Close())
	}
	stop := sync.OnceFunc(func() { pprof.StopCPUProfile(); _ = f.Close() })
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() { // a profile of the first minutes says as much as one of all
		<-interrupted
		stop()
		os.Exit(exitInterrupted)
	}()
	return stop, nil
}

// exitInterrupted is the shell's code for Ctrl-C.
const exitInterrupted = 130

// one runs one seed and tells its story.
func one(o options, cfg engine.Config, out io.Writer) bool {
	cfg.Trace = o.trace
	begun := time.Now()
	if !o.trace {
		cfg.Progress = progress(begun, out)
	}
	r := engine.Run(o.seed, cfg)
	for _, line := range r.Trace {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "seed %d: %d servers, %d reconciles, %d writes, %s of virtual time in %s\n", r.Seed, r.Servers, r.Steps, r.Writes,
		r.Virtual.Round(time.Second), time.Since(begun).Round(time.Millisecond))
	if r.Violation == nil {
		return true
	}
	explain(r, o.full || o.trace, out)
	return false
}

// progress prints how far virtual time is, now and then: a rack of a thousand takes minutes.
func progress(begun time.Time, out io.Writer) func(time.Duration) {
	told := begun
	return func(now time.Duration) {
		if t := time.Now(); t.Sub(told) >= progressEvery {
			told = t
			fmt.Fprintf(out, "%s of virtual time in %s\n", now.Round(time.Second), t.Sub(begun).Round(time.Second))
		}
	}
}

// explain prints a failure, shrunk unless told otherwise.
func explain(r engine.Result, full bool, out io.Writer) {
	fmt.Fprintf(out, "\nseed %d breaks %s\nkinds: %s\n", r.Seed, r.Violation, r.Kinds)
	if full {
		return
	}
	small := engine.Shrink(r)
	fmt.Fprintf(out, "shrunk to %d servers and %d lines; kinds: %s\n", small.Servers, len(small.Trace), small.Kinds)
	for _, line := range small.Trace {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "again: go run ./sfyra-tests/sim --seed %d --servers %d --trace\n", r.Seed, r.Config.Servers)
}
