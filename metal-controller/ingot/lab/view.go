package lab

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// row is what the live view shows of one server.
type row struct {
	name, state, power, stage, detail string
}

// rows are the servers by name, as the API shows them.
func rows(servers map[string]*metal.Server) []row {
	var all []row
	for _, s := range servers {
		r := row{name: s.Name, state: string(s.Status.State), power: "?", detail: readyMessage(s)}
		if s.Status.Power != nil {
			r.power = string(s.Status.Power.State)
		}
		if len(s.Status.Boots) > 0 && len(s.Status.Boots[0].Stages) > 0 {
			stages := s.Status.Boots[0].Stages
			last := stages[len(stages)-1]
			r.stage = fmt.Sprintf("%s +%.0fs", last.Stage, last.At.Sub(stages[0].At.Time).Seconds())
		}
		if i := s.Status.Inventory; i != nil {
			r.detail = strings.Join(slices.DeleteFunc([]string{i.CPU, i.Memory, i.Disks, i.NICs}, func(s string) bool { return s == "" }), ", ")
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return all
}

func readyMessage(s *metal.Server) string {
	for _, c := range s.Status.Conditions {
		if c.Type == reasons.Ready {
			return c.Message
		}
	}
	return ""
}

// view shows rows live: on a terminal the table is drawn over itself, elsewhere each change is a line.
type view struct {
	out      io.Writer
	terminal bool
	width    int
	begin    time.Time
	last     map[string]row
	drawn    int
}

func newView(out io.Writer, terminal bool, width int, begin time.Time) *view {
	return &view{out: out, terminal: terminal, width: width, begin: begin, last: map[string]row{}}
}

func (v *view) show(all []row, now time.Time) {
	if v.terminal {
		v.draw(all, now)
		return
	}
	for _, r := range all {
		if r != v.last[r.name] {
			v.last[r.name] = r
			fmt.Fprintf(v.out, "%5.0fs  %s\n", now.Sub(v.begin).Seconds(), strings.TrimRight(line(r), " "))
		}
	}
}

// draw goes back over the table that it drew before. Escape codes: ECMA-48 cursor up and erase.
func (v *view) draw(all []row, now time.Time) {
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", v.drawn)
	}
	lines := []string{line(row{"SERVER", "STATE", "POWER", "BOOT", "DETAIL"})}
	for _, r := range all {
		lines = append(lines, line(r))
	}
	lines = append(lines, fmt.Sprintf("%.0f s; Ctrl-C ends the lab and leaves nothing behind", now.Sub(v.begin).Seconds()))
	for _, l := range lines {
		b.WriteString(clip(l, v.width) + "\n")
	}
	v.drawn = len(lines)
	fmt.Fprint(v.out, b.String())
}

func line(r row) string {
	return fmt.Sprintf("%-10s %-12s %-8s %-18s %s", r.name, r.state, r.power, r.stage, r.detail)
}

// clip keeps a line within the terminal, so that going up by lines stays right.
func clip(s string, width int) string {
	r := []rune(strings.TrimRight(s, " "))
	if width > 0 && len(r) >= width {
		return string(r[:width-1])
	}
	return string(r)
}
