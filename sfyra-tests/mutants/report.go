package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is the outcome.
type report struct {
	verdicts []verdict
	left     int
	// same maps the keys of mutants that change nothing to the reason.
	same map[string]string
	// show prints what the killer said.
	show bool
}

// count is one row of the table.
type count struct {
	mutants, same, survived int
	by                      map[string]int
}

// score in percent, of the mutants that change something.
func (c count) score() float64 {
	if c.mutants == c.same {
		return 100
	}
	return 100 * float64(c.mutants-c.same-c.survived) / float64(c.mutants-c.same)
}

func (r *report) total() count { return r.count("") }

// count sums up a folder; the empty one stands for all.
func (r *report) count(folder string) count {
	c := count{by: map[string]int{}}
	for _, v := range r.verdicts {
		if folder != "" && v.mutant.folder != folder {
			continue
		}
		c.mutants++
		switch {
		case r.same[v.mutant.key()] != "":
			c.same++
		case v.by == "":
			c.survived++
		default:
			c.by[v.by]++
		}
	}
	return c
}

// print writes the survivors and the table.
func (r *report) print(out io.Writer) {
	r.printSurvivors(out)
	var folders, killers []string
	for _, v := range r.verdicts {
		folders = append(folders, v.mutant.folder)
		if v.by != "" {
			killers = append(killers, v.by)
		}
	}
	slices.Sort(folders)
	slices.Sort(killers)
	folders, killers = slices.Compact(folders), slices.Compact(killers)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "package\tmutants\t")
	for _, k := range killers {
		fmt.Fprintf(w, "killed by %s\t", k)
	}
	fmt.Fprintln(w, "survived\tequivalent\tscore %\t")
	for _, f := range append(folders, "") {
		c := r.count(f)
		fmt.Fprintf(w, "%s\t%d\t", map[bool]string{true: "all", false: f}[f == ""], c.mutants)
		for _, k := range killers {
			fmt.Fprintf(w, "%d\t", c.by[k])
		}
		fmt.Fprintf(w, "%d\t%d\t%.1f\t\n", c.survived, c.same, c.score())
	}
	_ = w.Flush()
	if r.left > 0 {
		fmt.Fprintf(out, "%d mutants did not compile and are not counted\n", r.left)
	}
}

func (r *report) printSurvivors(out io.Writer) {
	for _, v := range r.verdicts {
		if r.show {
			fmt.Fprintf(out, "%s\n%s\nkilled by: %s\n", v.mutant.key(), v.said, v.by)
		}
		if v.by != "" || r.same[v.mutant.key()] != "" {
			continue
		}
		note := ""
		switch {
		case !v.reached:
			note = " (nothing runs it)"
		case v.cut:
			note = " (cut off by the clock)"
		}
		fmt.Fprintf(out, "survived: %d %s%s\n", v.mutant.id, v.mutant, note)
	}
}

// readEquivalent reads the mutants that change nothing: `key | reason`, one a line. A file that does not exist names none.
func readEquivalent(name string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the equivalent mutants: %w", err)
	}
	same := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, " | ")
		if at < 0 || strings.TrimSpace(line[at+3:]) == "" {
			return nil, fmt.Errorf("reading the equivalent mutants: a line without a reason: %s", line)
		}
		same[strings.TrimSpace(line[:at])] = strings.TrimSpace(line[at+3:])
	}
	return same, nil
}

// checkEquivalent refuses a line that fits no mutant of the packages that were loaded, or one whose mutant was killed.
func (r *report) checkEquivalent(all []*mutant) error {
	known, folders := map[string]bool{}, map[string]bool{}
	for _, m := range all {
		known[m.key()], folders[m.folder] = true, true
	}
	for key := range r.same {
		path, _, _ := strings.Cut(key, " ")
		folder := path[:max(0, strings.LastIndexByte(path, '/'))]
		if folders[folder] && !known[key] {
			return fmt.Errorf("checking the equivalent mutants: no mutant is %q; correct or delete the line", key)
		}
	}
	for _, v := range r.verdicts {
		if v.by != "" && r.same[v.mutant.key()] != "" {
			return fmt.Errorf("checking the equivalent mutants: %s kill %q, so it is none; delete the line", v.by, v.mutant.key())
		}
	}
	return nil
}
