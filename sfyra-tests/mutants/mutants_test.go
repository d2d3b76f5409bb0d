package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const grades = `package grades

type Grade string

const (
	Good Grade = "Good"
	Poor Grade = "Poor"
)

// Of is what the tests look at.
func Of(points int, late bool) Grade {
	if points >= 50 && !late {
		return Good
	}
	return Poor
}

// Sum ends, unless its condition is turned around.
func Sum(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += i
	}
	return sum
}

func unseen(a, b string) string {
	switch a {
	case "x", "y":
		return a + b
	}
	return join(a, b)
}

func join(a, b string) string { return a + b }
`

const strongTest = `package grades

import "testing"

func TestOf(t *testing.T) {
	if Of(50, false) != Good || Of(49, false) != Poor || Of(50, true) != Poor || Of(0, true) != Poor {
		t.Error("grades")
	}
	if Sum(4) != 6 {
		t.Error("sum")
	}
}
`

const blindTest = `package grades

import "testing"

func TestOf(t *testing.T) { _ = Of(50, false) }
`

// module makes a module with one package and goes there.
func module(t *testing.T, source, test string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.test/m\n\ngo 1.26\n", "grades/grades.go": source, "grades/grades_test.go": test} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "-mod=mod")
}

func mutants(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(context.Background(), append([]string{"--packages", "grades", "--equivalent", "same.txt"}, args...), &out, &out)
	return code, out.String()
}

// TestHunt: strong tests kill what they run, and the survivors are named with file, line and change.
func TestHunt(t *testing.T) {
	module(t, grades, strongTest)
	code, said := mutants(t, "--min", "50")
	if code != 0 {
		t.Fatalf("code %d\n%s", code, said)
	}
	for _, want := range []string{
		"control: tests pass in",
		"grades/grades.go:29 unseen: case: \"x\" => dropped (nothing runs it)",
		"unseen: arguments: join(… a, b …) => b, a (nothing runs it)",
		"join: return: a + b => nothing (nothing runs it)",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("not said: %s", want)
		}
	}
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "survived:") && !strings.Contains(line, " unseen:") && !strings.Contains(line, " join:") && !strings.Contains(line, "Sum: constant: 0 => 1") {
			t.Errorf("a strong test lets live: %s", line)
		}
	}
	if code, said := mutants(t, "--min", "50", "--killer", "test:grades", "--killer", "test:./grades -test.v"); code != 0 || strings.Count(said, "control: grades pass in") != 2 {
		t.Errorf("more killers: code %d\n%s", code, said)
	}
	if code, said := mutants(t, "--min", "99"); code != 1 || !strings.Contains(said, "the least is 99.0 %") {
		t.Errorf("a score below the least: code %d\n%s", code, said)
	}
}

// TestMutantsAreMeant: every kind of mutant is made, where it belongs.
func TestMutantsAreMeant(t *testing.T) {
	module(t, grades, strongTest)
	_, said := mutants(t, "--list")
	for _, want := range []string{
		"Of: guard: points >= 50 && !late => false",
		"Of: operator: points >= 50 && !late => points >= 50 || !late",
		"Of: operator: points >= 50 => points > 50",
		"Of: negate: !late => late",
		"Of: constant: 50 => (50) / 2",
		"Of: constant: Good => Poor",
		"Of: return: Good => nothing",
		"Sum: negate: i < n => !(i < n)",
		"Sum: statement: sum += i => deleted",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no mutant: %s\n%s", want, said)
		}
	}
	one, again := "", ""
	for _, s := range []*string{&one, &again} {
		_, *s = mutants(t, "--list", "--sample", "3")
	}
	if one != again {
		t.Error("the list is not the same twice")
	}
}

// TestEndless: a loop that a mutant makes endless is counted out by steps, and is a kill.
func TestEndless(t *testing.T) {
	module(t, strings.ReplaceAll(grades, "i++", "i += 1"), strongTest)
	_, said := mutants(t, "--list")
	for line := range strings.Lines(said) {
		id, what, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if strings.Contains(what, "Sum: constant: 1 => 0") {
			code, said := mutants(t, "--only", id, "--min", "100")
			if code != 0 || !strings.Contains(said, "endless") || !strings.Contains(said, "killed by: tests") {
				t.Errorf("code %d\n%s", code, said)
			}
			return
		}
	}
	t.Fatalf("control: no such mutant\n%s", said)
}

// TestWhatDoesNotCompile is left out and counted, and nothing else is lost with it.
func TestWhatDoesNotCompile(t *testing.T) {
	module(t, strings.ReplaceAll(grades, "// Sum ends", "func full(b byte) bool {\n\treturn b == 0xFF\n}\n\n// Sum ends"), strongTest)
	if code, said := mutants(t, "--min", "0"); code != 0 || !strings.Contains(said, "mutants did not compile") || !strings.Contains(said, "full: negate: b == 0xFF => b != 0xFF") {
		t.Errorf("code %d\n%s", code, said)
	}
}

// TestBlind: killers that notice nothing at all measure nothing, and failing ones neither.
func TestBlind(t *testing.T) {
	module(t, grades, blindTest)
	if code, said := mutants(t); code != 2 || !strings.Contains(said, "it notices nothing") {
		t.Errorf("blind: code %d\n%s", code, said)
	}
	module(t, grades, strings.ReplaceAll(strongTest, "!= 6", "!= 7"))
	if code, said := mutants(t); code != 2 || !strings.Contains(said, "without a mutant") {
		t.Errorf("failing: code %d\n%s", code, said)
	}
	if code, _ := mutants(t, "--killer", "nonsense"); code != 2 {
		t.Errorf("a killer of no kind: code %d", code)
	}
}

// TestEquivalent: a mutant may be excused with a reason, as long as it lives and is there.
func TestEquivalent(t *testing.T) {
	module(t, grades, strongTest)
	excuse := func(text string) {
		if err := os.WriteFile("same.txt", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, before := mutants(t, "--min", "0")
	excuse("# why\ngrades/grades.go join: return: a + b => nothing | nobody calls it\n")
	_, after := mutants(t, "--min", "0")
	if strings.Count(before, "survived:") != strings.Count(after, "survived:")+1 {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	for text, want := range map[string]string{
		"grades/grades.go join: return: a * b => nothing | gone\n":    "no mutant is",
		"grades/grades.go Of: return: Good => nothing | it is seen\n": "so it is none",
		"grades/grades.go join: return: a + b => nothing\n":           "without a reason",
	} {
		excuse(text)
		if code, said := mutants(t, "--min", "0"); code != 2 || !strings.Contains(said, want) {
			t.Errorf("%s: code %d\n%s", text, code, said)
		}
	}
}
