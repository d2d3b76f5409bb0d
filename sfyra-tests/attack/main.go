// Command attack runs the attack suite: for every case of index.go the tests that show how Ingot takes it, each with its positive control in the same run.
//
// Layer 5, proof. Most cases are proven where what they attack is; the index says where, and a test of this package fails when it names a test that is not
// there. What cuts across packages is here: every call of the protocols (rpcs_test.go), every route (routes_test.go) and every field of the API
// (fields_test.go), each against tables of who may do what, in which nothing may be missing.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// run runs all tests of the index at once and writes a table of what became of each case.
func run(ctx context.Context, to io.Writer) error {
	begin := time.Now()
	all := append(slices.Clip(index), suite)
	results, err := test(ctx, to, all)
	if err != nil {
		return err
	}
	bad := 0
	for _, c := range all {
		verdict := judge(c, results)
		if verdict != passed && verdict != planned {
			bad++
		}
		_, _ = fmt.Fprintf(to, "%-4s %-8s %2d tests  %s\n", c.id, verdict, len(c.tests), c.what)
		for _, name := range c.tests {
			if results[name] != "pass" {
				_, _ = fmt.Fprintf(to, "       %s: %s\n", name, cmp.Or(results[name], "did not run"))
			}
		}
	}
	_, _ = fmt.Fprintf(to, "attack: %d cases, %d bad, %.0f s\n", len(all), bad, time.Since(begin).Seconds())
	if bad > 0 {
		return fmt.Errorf("%d cases failed; run one of their tests by `go test -run '^TestName$' -v ./its/folder`", bad)
	}
	return nil
}

// suite is the case of the suite itself: that it lacks nothing, and that it would notice.
var suite = attack{id: "all", what: "the suite's own index and tables", tests: in(here, "TestIndex", "TestJudge", "TestFuzzTargets", "TestPortsAreDocumented")}

// Verdicts of a case.
const (
	passed  = "passed"
	failed  = "FAILED"
	planned = "planned"
)

// judge says what became of a case. One whose test did not run has failed: it proved nothing.
func judge(c attack, results map[string]string) string {
	if len(c.tests) == 0 {
		return planned
	}
	for _, name := range c.tests {
		if results[name] != "pass" {
			return failed
		}
	}
	return passed
}

// event is a line of `go test -json`.
type event struct{ Action, Package, Test, Output string }

// test runs the tests of the cases by one `go test`, and returns what became of each, by folder and name. What failing ones said goes to the writer.
func test(ctx context.Context, to io.Writer, cases []attack) (map[string]string, error) {
	folders, names := map[string]bool{}, map[string]bool{}
	for _, c := range cases {
		for _, t := range c.tests {
			folder, name := split(t)
			folders["./"+folder], names[name] = true, true
		}
	}
	// Linking without symbols, and vet, which `make lint` does, take half of the time otherwise.
	args := []string{"test", "-json", "-count=1", "-vet=off", "-ldflags=-s -w", "-timeout", "10m", "-run", "^(" + strings.Join(slices.Sorted(maps.Keys(names)), "|") + ")$"}
	cmd := exec.CommandContext(ctx, "go", append(args, slices.Sorted(maps.Keys(folders))...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting go test: %w", err)
	}
	results, err := read(out, to)
	var exit *exec.ExitError
	if ended := cmd.Wait(); ended != nil && !errors.As(ended, &exit) { // that some failed is in the results
		err = errors.Join(err, ended)
	}
	return results, err
}

// read reads events. A package that ends badly without a failed test of its own did not build, or its TestMain failed; its words are passed on too.
func read(from io.Reader, to io.Writer) (map[string]string, error) {
	results, said := map[string]string{}, map[string][]string{}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			_, _ = fmt.Fprintln(to, lines.Text()) // what go itself says
			continue
		}
		folder := strings.TrimPrefix(e.Package, module)
		top, _, _ := strings.Cut(e.Test, "/")
		key := strings.TrimSuffix(folder+" "+top, " ")
		switch e.Action {
		case "output":
			said[key] = append(said[key], e.Output)
		case "build-output": // what does not compile
			_, _ = io.WriteString(to, e.Output)
		case "pass", "fail", "skip":
			if e.Test == top {
				results[key] = e.Action
			}
			if e.Action == "fail" && e.Test == top {
				_, _ = io.WriteString(to, strings.Join(said[key], ""))
			}
			if e.Test == top {
				delete(said, key)
			}
		}
	}
	return results, lines.Err()
}

const module = "ingot.dev/ingot/"

// split takes "folder TestName" apart.
func split(t string) (folder, name string) {
	folder, name, _ = strings.Cut(t, " ")
	return folder, name
}
