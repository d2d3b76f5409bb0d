package lifecycle_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// statesFile holds the diagrams; it is generated.
const statesFile = "../../docs/states.md"

// TestStates draws what the scripts really did: which state followed which, and after which verb. So the diagrams are never ahead of the code.
func TestStates(t *testing.T) {
	states, boots := edges{}, edges{}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		script, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld()
		w.steps = func(verb string, before, after *metal.Server) {
			if stateOf(before) != "[*]" || before.Spec.Record == nil { // else the status was lost
				states.add(stateOf(before), stateOf(after), verb)
			}
			boots.add(phaseOf(before), phaseOf(after), verb)
		}
		if _, err := w.run(script); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
	}
	got := states.page(boots)
	want, err := os.ReadFile(statesFile)
	if *rewrite {
		if err := os.WriteFile(statesFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/states.md is not what the scripts do (go test -run TestStates -rewrite mends it): %v\n%s", err, got)
	}
	for _, control := range []string{"Discovered --> Wiping", "Wiping --> Available", "Booting --> Claimed", "Restarting --> Booting"} {
		if !bytes.Contains(got, []byte(control)) {
			t.Errorf("control: the scripts never went %s", control)
		}
	}
}

func stateOf(s *metal.Server) string {
	if s.Status.State == "" {
		return "[*]"
	}
	return string(s.Status.State)
}

func phaseOf(s *metal.Server) string {
	if r := s.Spec.Record; r != nil && r.Boot != nil {
		return string(r.Boot.Phase)
	}
	return "[*]"
}

// edges maps from and to, to the verbs that led there.
type edges map[[2]string][]string

func (e edges) add(from, to, verb string) {
	k := [2]string{from, to}
	if verb == "" {
		verb = "declared"
	}
	if from != to && !slices.Contains(e[k], verb) {
		e[k] = append(e[k], verb)
	}
}

// mermaid draws the edges in a fixed order, the most frequent way of life first.
func (e edges) mermaid(order []string) string {
	rank := func(s string) int { return slices.Index(order, s) }
	var keys [][2]string
	for k := range e {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return (rank(a[0])-rank(b[0]))*100 + rank(a[1]) - rank(b[1]) })
	var out strings.Builder
	out.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, k := range keys {
		slices.Sort(e[k])
		fmt.Fprintf(&out, "    %s --> %s: %s\n", k[0], k[1], strings.Join(e[k], ", "))
	}
	out.WriteString("```\n")
	return out.String()
}

func (e edges) page(boots edges) []byte {
	return []byte(`# States

Drawn by ` + "`go test ./metal-controller/lifecycle -run TestStates -rewrite`" + ` out of what the scripts in ` + "`metal-controller/lifecycle/testdata`" + ` really do; a test
fails when it is old. An arrow names the last thing that happened before the decision: the verbs of the scripts (` + "`verbs_test.go`" + ` says what each means).

## A server

For people only: code and selectors read conditions.

` + e.mermaid([]string{"[*]", "Unverified", "Discovered", "Wiping", "Available", "AwaitingPower", "Provisioning", "Running", "Releasing"}) + `
## An expected boot

Trust level 1 rests on it. It is part of the record.

` + boots.mermaid([]string{"[*]", "SwitchingOff", "SwitchingOn", "Restarting", "Booting", "Claimed", "Void"}))
}
