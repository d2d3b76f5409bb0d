package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const simulator = "./sfyra-tests/sim"

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	brokenSeed = regexp.MustCompile(`(?m)^seed (\d+) breaks (.*)$`)
)

// catch asks one catcher: `test:PACKAGE` or `sim`. It returns the test or the seed that fails; empty when all pass.
func catch(ctx context.Context, catcher, overlay string, o options) (by, said string, err error) {
	dir, err := os.MkdirTemp("", "catch")
	if err != nil {
		return "", "", fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := filepath.Join(dir, "catcher")
	pkg, isTest := strings.CutPrefix(catcher, "test:")
	var build, args []string
	switch {
	case isTest:
		build, args = []string{"test", "-c", "-vet=off", "-o", bin}, []string{"-test.count=1", "-test.failfast", "-test.timeout=10m"}
	case catcher == "sim":
		pkg, build, args = simulator, []string{"build", "-o", bin}, []string{"--full", "--seeds", strconv.Itoa(o.seeds)}
	default:
		return "", "", fmt.Errorf("the catcher %q is neither sim nor test:PACKAGE", catcher)
	}
	if overlay != "" {
		build = append(build, "-overlay", overlay)
	}
	if out, err := exec.CommandContext(ctx, "go", append(build, "./"+filepath.Clean(pkg))...).CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("compiling %s: %w\n%s", pkg, err, out)
	}
	run := exec.CommandContext(ctx, bin, args...)
	if isTest {
		run.Dir = filepath.FromSlash(pkg)
	}
	out, err := run.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", string(out), nil
	case ctx.Err() != nil || !errors.As(err, &exit):
		return "", string(out), fmt.Errorf("running %s: %w", pkg, err)
	}
	return culprit(string(out)), string(out), nil
}

// culprit is the seed with its rule, or the innermost test, that failed first.
func culprit(said string) string {
	if m := brokenSeed.FindStringSubmatch(said); m != nil {
		return "seed " + m[1] + " (" + m[2] + ")"
	}
	tests := failedTest.FindAllStringSubmatch(said, -1)
	if len(tests) == 0 {
		return "it ended with an error"
	}
	by := tests[0][1]
	for _, t := range tests {
		if strings.HasPrefix(t[1], by+"/") {
			by = t[1]
		}
	}
	return by
}
