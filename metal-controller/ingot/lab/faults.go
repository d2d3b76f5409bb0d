package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/rack"
)

// faultsAnnotation of a Server says how its BMC misbehaves, in kinds separated by commas. Only the lab reads it.
const faultsAnnotation = "lab.ingot.dev/faults"

// honest is the word for a BMC without a fault.
const honest = "none"

// faults are kinds of misbehaviour by the server's name.
type faults map[string][]string

// parseFaults reads words like rack1-01=dead or s1=dead. Several words for one server add up; none takes them back.
func parseFaults(words []string, servers int) (faults, error) {
	all := faults{}
	for _, word := range words {
		server, kind, found := strings.Cut(strings.TrimSpace(word), "=")
		if !found {
			return nil, fmt.Errorf("%.60q says no fault: write SERVER=KIND, for instance %s=dead; the kinds are %s, or none", word, nameOf(1), strings.Join(fakebmc.KindNames(), ", "))
		}
		name, ok := nameFor(server, servers)
		if !ok {
			return nil, fmt.Errorf("%.60q: there is no such server; the lab has %s", word, nameRange(servers))
		}
		if kind == honest {
			all[name] = nil
			continue
		}
		if _, err := fakebmc.FaultOf(kind); err != nil {
			return nil, fmt.Errorf("%.60q: %w, or none", word, err)
		}
		if !slices.Contains(all[name], kind) {
			all[name] = append(all[name], kind)
		}
	}
	return all, nil
}

// nameFor is the server that a word means: its name, or s and its number.
func nameFor(word string, servers int) (string, bool) {
	for i := range servers {
		if name := nameOf(i + 1); word == name || word == "s"+strconv.Itoa(i+1) {
			return name, true
		}
	}
	return "", false
}

func nameRange(servers int) string {
	if servers == 1 {
		return nameOf(1) + " (s1)"
	}
	return fmt.Sprintf("%s to %s (s1 to s%d)", nameOf(1), nameOf(servers), servers)
}

// faultHelp explains each kind in a line.
func faultHelp() string {
	var b strings.Builder
	for _, k := range fakebmc.Kinds() {
		fmt.Fprintf(&b, "  %-12s %s\n", k.Name, k.Effect)
	}
	return b.String()
}

// completeFaults completes SERVER=KIND; in a list, what is behind the last comma.
func completeFaults(typed string, servers int) ([]string, cobra.ShellCompDirective) {
	before, last := "", typed
	if i := strings.LastIndex(typed, ","); i >= 0 {
		before, last = typed[:i+1], typed[i+1:]
	}
	server, kind, found := strings.Cut(last, "=")
	var out []string
	if !found {
		for i := range servers {
			if name := nameOf(i + 1); strings.HasPrefix(name, server) {
				out = append(out, before+name+"=")
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	for _, k := range append(fakebmc.Kinds(), fakebmc.Kind{Name: honest, Effect: "does as it is told"}) {
		if strings.HasPrefix(k.Name, kind) {
			out = append(out, before+server+"="+k.Name+"\t"+k.Effect)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// flagFaults completes --faults.
func (c *config) flagFaults(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completeFaults(typed, min(max(c.servers, 1), rack.MaxServers))
}

// misbehave makes the BMC misbehave in all of the ways, and in no other.
func (b *bmc) misbehave(kinds []string) error {
	fault, err := fakebmc.FaultOf(kinds...)
	if err != nil {
		return err
	}
	b.faults.Set(fault)
	b.kinds = kinds
	return nil
}

// faultLines say how a BMC misbehaves, in a line for each kind.
func faultLines(server string, kinds []string) []string {
	var lines []string
	for _, k := range fakebmc.Kinds() {
		if slices.Contains(kinds, k.Name) {
			lines = append(lines, fmt.Sprintf("  %-10s %-12s its BMC %s", server, k.Name, k.Effect))
		}
	}
	return lines
}

// obey brings a BMC to what the annotation of its Server says, and tells of a change.
func (b *bmc) obey(annotation string, say func(string)) {
	kinds := strings.FieldsFunc(annotation, func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Equal(kinds, b.kinds) || b.refused == annotation && annotation != "" {
		return
	}
	if err := b.misbehave(kinds); err != nil {
		b.refused = annotation // told once
		say(fmt.Sprintf("The annotation %s of %s is no fault: %v.", faultsAnnotation, b.name, err))
		return
	}
	b.refused = ""
	if len(kinds) == 0 {
		say("The BMC of " + b.name + " does as it is told again.")
	}
	for _, line := range faultLines(b.name, kinds) {
		say("Fault:" + strings.TrimPrefix(line, " "))
	}
}

// faultIntro says which faults are on from the start, and what to do with them; empty without any.
func faultIntro(program, kubeconfig string, bmcs []*bmc) string {
	var lines []string
	first := ""
	for _, b := range bmcs {
		if len(b.kinds) > 0 && first == "" {
			first = b.name
		}
		lines = append(lines, faultLines(b.name, b.kinds)...)
	}
	if first == "" {
		return ""
	}
	return strings.NewReplacer("INGOT", program, "KUBECONFIG_FILE", kubeconfig, "SERVER", first, "FAULTS", strings.Join(lines, "\n")).Replace(`
Faults are on:
FAULTS
In another terminal:

  export KUBECONFIG=KUBECONFIG_FILE
  INGOT why SERVER                # what Ingot makes of it
  INGOT lab faults SERVER=none    # mends its BMC while the lab runs
`)
}
