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
	out    io.Writer
	size   func() int // the terminal's width, 0 when unknown; nil when there is no terminal
	begin  time.Time
	ending string // what Ctrl-C does
	last   map[string]row
	drawn  []int // how wide the lines on the screen are
}

func newView(out io.Writer, size func() int, begin time.Time, ending string) *view {
	return &view{out: out, size: size, begin: begin, ending: ending, last: map[string]row{}}
}

func (v *view) show(all []row, now time.Time) {
	if v.size != nil {
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

// say writes a line above the table.
func (v *view) say(line string) {
	if v.size != nil {
		if up := height(v.drawn, v.size()); up > 0 {
			fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", up)
		}
		v.drawn = v.drawn[:0]
	}
	fmt.Fprintln(v.out, line)
}

// draw goes back over the table that it drew before. Escape codes: ECMA-48 cursor up and erase.
func (v *view) draw(all []row, now time.Time) {
	width := v.size()
	var b strings.Builder
	if up := height(v.drawn, width); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", up)
	}
	lines := []string{line(row{"SERVER", "STATE", "POWER", "BOOT", "DETAIL"})}
	for _, r := range all {
		lines = append(lines, line(r))
	}
	lines = append(lines, fmt.Sprintf("%.0f s. %s", now.Sub(v.begin).Seconds(), v.ending))
	v.drawn = v.drawn[:0]
	for _, l := range lines {
		l = clip(l, width)
		v.drawn = append(v.drawn, len([]rune(l)))
		b.WriteString(l + "\n")
	}
	fmt.Fprint(v.out, b.String())
}

// height is how many rows of the screen lines take: a terminal that was made narrower has wrapped what was drawn.
func height(lines []int, width int) int {
	n := len(lines)
	for _, l := range lines {
		if width > 0 && l > width {
			n += (l - 1) / width
		}
	}
	return n
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
