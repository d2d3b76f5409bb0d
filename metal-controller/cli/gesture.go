package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// wish is what the flags of accept say.
type wish struct {
	wipeData bool
	level    metal.WipeLevel // empty: not said
	ignore   []string
	again    bool // also when nothing asks for it
}

// gesture is a person's yes to one server as it was shown, worked out before anything is changed.
type gesture struct {
	server  *metal.Server
	wish    wish
	ignored []metal.DiskSelector // that the wish adds
	fates   []fate
	ask     bool // a new acceptRequest is needed
}

// fate is what the gesture leads to for one disk.
type fate struct {
	disk metal.DiskStatus
	// open says that the disk is the server's own, holds data, and nobody confirmed it yet.
	open bool
	// data says that it holds data that a wipe will erase, confirmed before or not: a new yes names all of it, since it replaces the one before.
	data bool
	text string
}

// plan works out what a yes to the server would do. It refuses what cannot be meant.
func plan(s *metal.Server, inventory []metal.Disk, w wish) (*gesture, error) {
	g := &gesture{server: s, wish: w}
	if c := condition(s, reasons.Ready); c != nil && c.Reason == reasons.UnmanagedHere {
		return nil, refused("%s: %s", s.Name, c.Message)
	}
	for _, word := range w.ignore {
		sel, err := selector(s, word)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(s.Spec.IgnoredDisks, func(have metal.DiskSelector) bool { return sameSelector(have, sel) }) {
			g.ignored = append(g.ignored, sel)
		}
	}
	for _, d := range s.Status.Disks {
		g.fates = append(g.fates, g.fate(d, inventory))
	}
	r := recordOf(s)
	open := slices.ContainsFunc(g.fates, func(f fate) bool { return f.open })
	g.ask = w.again || !s.Spec.Accepted || r.Acceptance == nil || r.Unverified != nil || open || g.changed() || g.otherLevel()
	if r.Claim != nil && g.ask {
		return nil, refused("%s is claimed by %s/%s, so its disks are out of reach; release it first", s.Name, r.Claim.Namespace, r.Claim.Name)
	}
	return g, nil
}

// changed says that the machine has a disk that its wipe did not cover.
func (g *gesture) changed() bool {
	c := condition(g.server, reasons.Clean)
	return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reasons.DisksChanged
}

func refused(format string, args ...any) error {
	return &ExitError{Code: CodeRefused, Err: fmt.Errorf(format, args...)}
}

// otherLevel says that another level was asked for a wipe that is not done yet.
func (g *gesture) otherLevel() bool {
	a := recordOf(g.server).Acceptance
	return g.wish.level != "" && a != nil && a.Level != g.wish.level && !isTrue(g.server, reasons.Clean)
}

func (g *gesture) fate(d metal.DiskStatus, inventory []metal.Disk) fate {
	for _, sel := range g.ignored {
		if selects(sel, d, inventory) {
			return fate{disk: d, text: "never touched: you say that it be ignored"}
		}
	}
	switch d.Verdict {
	case metal.DiskIgnored:
		return fate{disk: d, text: "never touched" + because(d.Reason)}
	case metal.DiskBlocked:
		return fate{disk: d, text: "never touched, and in the way" + because(d.Reason)}
	case metal.DiskOwn:
	}
	f := fate{disk: d, data: d.NeedsConfirmation || d.Contents != metal.DiskBlank, text: "will be erased"}
	f.open = d.NeedsConfirmation || f.data && recordOf(g.server).Acceptance == nil
	switch {
	case f.data && g.wish.wipeData:
		f.text = "will be erased, with its data"
	case f.data:
		f.text = "holds data: erased only with --wipe-data"
	}
	return f
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(reason, ".")
}

// data are the disks whose data the person must confirm; none without a new yes.
func (g *gesture) data() []metal.DiskStatus {
	var all []metal.DiskStatus
	if !g.ask {
		return nil
	}
	for _, f := range g.fates {
		if f.data {
			all = append(all, f.disk)
		}
	}
	return all
}

// blocked are the disks that will keep the server from becoming Available.
func (g *gesture) blocked() []metal.DiskStatus {
	var all []metal.DiskStatus
	for _, f := range g.fates {
		if f.disk.Verdict == metal.DiskBlocked && strings.Contains(f.text, "in the way") {
			all = append(all, f.disk)
		}
	}
	return all
}

// nothing says that a yes would change nothing.
func (g *gesture) nothing() bool { return !g.ask && len(g.ignored) == 0 }

func (g *gesture) whyNothing(now time.Time) string {
	s, r := g.server, recordOf(g.server)
	text := fmt.Sprintf("server/%s was accepted %s ago", s.Name, age(r.Acceptance.At, now))
	if c := condition(s, reasons.Ready); c != nil && c.Status == metav1.ConditionTrue {
		return text + ", is clean, and needs nothing; nothing was changed."
	} else if c != nil && c.Message != "" {
		text += "; " + lowerFirst(strings.TrimSuffix(c.Message, "."))
	}
	return fmt.Sprintf("%s. Nothing was changed; `ingot why %s` says more.", text, s.Name)
}

// apply writes the yes into the spec.
func (g *gesture) apply(s *metal.Server, id string, at metav1.Time) {
	s.Spec.IgnoredDisks = append(s.Spec.IgnoredDisks, g.ignored...)
	if !g.ask {
		return
	}
	s.Spec.Accepted = true
	s.Spec.AcceptRequest = &metal.AcceptRequest{ID: id, Level: g.wish.level, RequestedAt: at}
	for _, d := range g.data() {
		s.Spec.AcceptRequest.WipeData = append(s.Spec.AcceptRequest.WipeData, d.DiskID)
	}
}

// show prints what will happen.
func (g *gesture) show(out io.Writer) {
	s := g.server
	fmt.Fprintf(out, "server/%s (%s)\n", s.Name, where(s))
	if len(g.fates) == 0 {
		fmt.Fprintln(out, "  No disks of it are known yet.")
	} else {
		printFates(out, g.fates)
	}
	if c := meta.FindStatusCondition(s.Status.Conditions, reasons.Cabled); c != nil && c.Status != metav1.ConditionTrue {
		fmt.Fprintf(out, "Its cables are not as spec.cables plans them: %s\n", c.Message)
	}
	if g.ask {
		fmt.Fprintln(out, g.restart())
	}
	if r := recordOf(s); r.Quarantine != nil {
		fmt.Fprintf(out, "It is quarantined (%s), and stays so until `ingot lift %s`.\n", r.Quarantine.Reason, s.Name)
	}
	if _, paused := s.Annotations[pausedAnnotation]; paused {
		fmt.Fprintf(out, "It is paused, so nothing begins until `ingot resume %s`.\n", s.Name)
	}
	if len(g.blocked()) > 0 {
		fmt.Fprintf(out, "%s not the server's own, so it cannot become Available: remove them, or add --ignore-disk for each.\n", areDisks(g.blocked()))
	}
}

func areDisks(list []metal.DiskStatus) string {
	if len(list) == 1 {
		return labels(list)[0] + " is"
	}
	return strings.Join(labels(list), ", ") + " are"
}

// restart says what happens to the machine.
func (g *gesture) restart() string {
	s := g.server
	button, end := "", "is switched off"
	if s.Spec.BMC == nil {
		end = "waits in the agent"
		button = "\nIt has no spec.bmc: its agent restarts it. If none runs there now, press its power button, with the network first in its boot order."
	}
	if s.Status.Inventory == nil && len(s.Status.Disks) == 0 {
		return "The machine will be restarted and boots Ingot's agent; blank disks are then erased, disks with data wait for `ingot accept " + s.Name + " --wipe-data`." + button
	}
	return "The machine will be restarted now, boots Ingot's agent, and " + end + " when its disks are erased and read back." + button
}

// next says what was done and what comes.
func (g *gesture) next() string {
	s := g.server
	if !g.ask {
		return fmt.Sprintf("server/%s: %s ignored from now on\n", s.Name, number(len(g.ignored), "disk selector"))
	}
	text := fmt.Sprintf("server/%s accepted", s.Name)
	if g.wish.again {
		text = fmt.Sprintf("server/%s will be wiped again", s.Name)
	}
	if n := len(g.data()); n > 0 {
		text += ", with the data on " + number(n, "disk") + " to be erased"
	}
	if g.wish.wipeData && len(g.fates) == 0 {
		text += "; --wipe-data named no disk, since none is known yet"
	}
	return fmt.Sprintf("%s; see `ingot why %s`\n", text, s.Name)
}

func lowerFirst(s string) string {
	if len(s) < 2 || s[1] >= 'A' && s[1] <= 'Z' { // a word such as BMC
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func condition(s *metal.Server, kind string) *metav1.Condition {
	for i := range s.Status.Conditions {
		if s.Status.Conditions[i].Type == kind {
			return &s.Status.Conditions[i]
		}
	}
	return nil
}

func isTrue(s *metal.Server, kind string) bool {
	c := condition(s, kind)
	return c != nil && c.Status == metav1.ConditionTrue
}
