package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a run with a mutant, by the control run.
const (
	stepFactor = 40
	timeFactor = 20
	leastTime  = time.Minute
)

// killer is a compiled program that may notice a mutant.
type killer struct {
	name string
	// target is set for the package's own tests: they are asked about its mutants only.
	target *target
	bin    string
	dir    string
	args   []string

	// tests says that it is a test program; quick is the pattern of its tests that cost little, and are asked first.
	tests bool
	quick string

	// What the control run showed.
	reached map[int]bool
	steps   int64
	took    time.Duration
}

// buildKillers compiles the tests of each target, and what else was named.
func (b *bench) buildKillers(ctx context.Context, named []string) error {
	for _, t := range b.targets {
		k := &killer{name: "tests", target: t, dir: t.dir}
		if err := b.compileKiller(ctx, k, "test", "./"+t.folder, nil); err != nil {
			return err
		}
	}
	for _, n := range named {
		kind, pkg, args, err := fields(n)
		if err != nil {
			return err
		}
		dir := "."
		if kind == "test" {
			dir = filepath.FromSlash(pkg)
		}
		if err := b.compileKiller(ctx, &killer{name: filepath.Base(pkg), dir: dir}, kind, pkg, args); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) compileKiller(ctx context.Context, k *killer, kind, pkg string, args []string) error {
	k.bin = filepath.Join(b.dir, fmt.Sprintf("killer%d", len(b.killers)))
	words := []string{"build", "-overlay", b.overlay, "-o", k.bin, pkg}
	if kind == "test" {
		words = []string{"test", "-c", "-vet=off", "-overlay", b.overlay, "-o", k.bin, pkg}
		k.tests = true
		k.args = []string{"-test.count=1", "-test.failfast", "-test.timeout=30m"}
		if usesRapid(ctx, pkg) {
			k.args = append(k.args, "-rapid.seed=1", "-rapid.checks=300", "-rapid.nofailfile", "-rapid.shrinktime=1ms")
		}
	}
	if out, err := exec.CommandContext(ctx, "go", words...).CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the killer %s: %w\n%s", pkg, err, out)
	}
	k.args = append(k.args, args...)
	b.killers = append(b.killers, k)
	return nil
}

// usesRapid says that a test program knows the flags of rapid.
func usesRapid(ctx context.Context, pkg string) bool {
	out, err := exec.CommandContext(ctx, "go", "list", "-deps", "-test", pkg).Output()
	return err == nil && strings.Contains(string(out), "\npgregory.net/rapid\n")
}

// control shows that the killers pass without a mutant, and that none of them is blind.
func (b *bench) control(ctx context.Context, out io.Writer) error {
	for _, k := range b.killers {
		trace := k.bin + ".trace"
		begin := time.Now()
		said, code, err := k.run(ctx, 30*time.Minute, k.verbose(), "INGOT_MUTANT_TRACE="+trace)
		if err != nil || code != 0 {
			return fmt.Errorf("running %s without a mutant: code %d, %w\n%s", k.name, code, err, tail(said))
		}
		k.took, k.quick = time.Since(begin), quickTests(said)
		if err := k.readTrace(trace); err != nil {
			return err
		}
		if len(k.reached) == 0 {
			return fmt.Errorf("running %s without a mutant: it reaches none of the code", k.name)
		}
		said, code, err = k.mutated(ctx, -1)
		if err != nil || code == 0 {
			return fmt.Errorf("running %s with every mutant at once: it notices nothing, so it measures nothing (%w)\n%s", k.name, err, tail(said))
		}
		fmt.Fprintf(out, "control: %s pass in %.1f s, reach %d mutants, and notice all of them at once\n", k.name, k.took.Seconds(), len(k.reached))
	}
	return nil
}

func (k *killer) readTrace(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what the control run reached: %w", err)
	}
	defer f.Close()
	k.reached = map[int]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		n, _ := strconv.ParseInt(words[len(words)-1], 10, 64)
		if words[1] == "reached" {
			k.reached[int(n)] = true
		} else {
			k.steps = max(k.steps, 2*n) // it is told at powers of two
		}
	}
	return lines.Err()
}

// mutated runs the killer with one mutant: its quick tests first, since they notice most.
func (k *killer) mutated(ctx context.Context, id int) (said string, code int, err error) {
	env := []string{"INGOT_MUTANT=" + strconv.Itoa(id), "INGOT_MUTANT_BOUND=" + strconv.FormatInt(stepFactor*k.steps, 10)}
	limit := max(leastTime, timeFactor*k.took)
	if k.quick != "" {
		said, code, err = k.run(ctx, limit, []string{"-test.run=" + k.quick}, env...)
		if code != 0 || err != nil {
			return said, code, err
		}
		return k.run(ctx, limit, []string{"-test.skip=" + k.quick}, env...)
	}
	return k.run(ctx, limit, nil, env...)
}

// verbose lets a test program tell how long each test takes.
func (k *killer) verbose() []string {
	if k.tests {
		return []string{"-test.v"}
	}
	return nil
}

var passed = regexp.MustCompile(`(?m)^--- PASS: (\w+) \(([0-9.]+)s\)`)

// quickTests are the tests that take less than a tenth of the slowest one.
func quickTests(said string) string {
	all := passed.FindAllStringSubmatch(said, -1)
	took := func(m []string) float64 {
		s, _ := strconv.ParseFloat(m[2], 64)
		return s
	}
	slowest := 0.0
	for _, m := range all {
		slowest = max(slowest, took(m))
	}
	var names []string
	for _, m := range all {
		if took(m) < slowest/10 {
			names = append(names, m[1])
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// run returns how the program ended. An error means that the clock cut it off, or that it did not start.
func (k *killer) run(ctx context.Context, limit time.Duration, more []string, env ...string) (said string, code int, err error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	cmd := exec.CommandContext(ctx, k.bin, slices.Concat(k.args, more)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = k.dir, append(os.Environ(), env...), 5*time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return string(out), 0, fmt.Errorf("waiting for %s: %w", k.name, ctx.Err())
	case errors.As(err, &exit):
		return string(out), exit.ExitCode(), nil
	case err != nil:
		return string(out), 0, fmt.Errorf("starting %s: %w", k.name, err)
	}
	return string(out), 0, nil
}

func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
