package lifecycle_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// rewrite writes what Decide says now into the scripts. Commit the change only if you understand it.
var rewrite = flag.Bool("rewrite", false, "rewrite the expected output in testdata")

// TestScripts plays testdata/*.txt. A script is a list of commands, one a line; `decide` prints the plan and carries it out as the reconciler
// does, so that scripts read as stories. Expected output follows its command, indented.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { play(t, f) })
	}
}

func play(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newWorld().run(want)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if *rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s says otherwise now (go test -rewrite shows it as a diff):\n%s", file, got)
}

// run plays a script and returns it with the output of now.
func (w *world) run(script []byte) ([]byte, error) {
	var got bytes.Buffer
	for lines := bufio.NewScanner(bytes.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&got, line)
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(line, "#") {
			if err := w.do(&got, words[0], words[1:]); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return got.Bytes(), nil
}

// world is one server and everything around it.
type world struct {
	o    lifecycle.Observation
	last lifecycle.Action
	// verb is the last command that changed something.
	verb string
	// brief prints only conditions that changed.
	brief bool
	// ids counts the ids that were used.
	ids int
	// disks are in the machine, whether or not an agent reported them.
	disks []metal.Disk
	// saved is the backup of the object.
	saved *metal.Server
	// sides are the views of other installations.
	sides map[string]lifecycle.Observation
	// steps are told what each decision changed.
	steps func(verb string, before, after *metal.Server)
}

// epoch is when every script begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 600e6, time.UTC)

func newWorld() *world {
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Spec: metal.ServerSpec{Identity: &metal.Identity{MACs: []string{"52:54:00:00:00:01"}}}}
	return &world{o: lifecycle.Observation{Now: epoch, Installation: "here", Server: server, Budget: lifecycle.Budget{Limit: 5}}}
}

// idle verbs change nothing by themselves.
var idle = []string{"at", "decide", "brief", "boots", "available", "hand-out", "save", "lose-status"}

// do runs one command. vocabulary says what each means.
func (w *world) do(out *bytes.Buffer, verb string, args []string) error {
	run, ok := vocabulary()[verb]
	if !ok {
		return fmt.Errorf("unknown command")
	}
	if !slices.Contains(idle, verb) {
		w.verb = verb
	}
	return run(w, out, args)
}

func inventory(disks []string) *metal.ServerInventorySpec {
	i := &metal.ServerInventorySpec{Arch: "amd64", System: metal.SystemInfo{Serial: "C0FFEE"}}
	for _, d := range disks {
		i.Disks = append(i.Disks, metal.Disk{Name: "sda", SizeBytes: 1e12, Contents: metal.DiskContents(d)})
	}
	return i
}

func (w *world) request(args []string) error {
	if len(args) == 1 && args[0] == "none" {
		w.o.Server.Spec.PowerRequest = nil
		return nil
	}
	age, binding := time.Duration(0), ""
	if len(args) == 4 {
		args, binding = args[:3], args[3]
	}
	if len(args) == 3 {
		var err error
		if age, err = time.ParseDuration(args[2]); err != nil {
			return err
		}
	}
	w.o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: args[0], Action: metal.PowerAction(args[1]), RequestedAt: metav1.NewTime(w.o.Now.Add(-age)), BindingID: binding}
	return nil
}

func (w *world) read(what string) {
	if s := metal.PowerState(what); s == metal.PowerOn || s == metal.PowerOff {
		w.o.Power.Reason, w.o.Power.State, w.o.Power.At = reasons.BMCAnswers, s, w.o.Now
		return
	}
	w.o.Power.Reason, w.o.Power.Message = what, ""
}

// decide prints the plan and carries it out.
func (w *world) decide(out *bytes.Buffer) {
	before := w.o.Server.DeepCopy()
	w.o.NewID = fmt.Sprintf("n%d", w.ids+1)
	p := lifecycle.Decide(w.o)
	say := func(format string, args ...any) { fmt.Fprintf(out, "  "+format+"\n", args...) }
	if p.Taken {
		say("taken over")
		if p.Accepted {
			say("spec.accepted is set: the yes came along")
		}
	} else {
		say("%s, boots %s, power %s", p.State, p.Boot.Target, p.Power.State)
	}
	if p.Silent {
		say("silent: status stays as its owner wrote it")
	}
	for _, c := range p.Conditions {
		if w.shown(c) {
			say("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	if p.Record != nil {
		say("record: %s", record(p.Record))
	}
	if p.Action.Kind != lifecycle.NoAction {
		say("action: %s", p.Action.Kind)
	}
	for _, e := range p.Events {
		say("event: %s", e.Reason)
	}
	if p.After != 0 && !w.brief {
		say("again in %s", p.After)
	}
	w.carryOut(p)
	if w.steps != nil {
		w.steps(w.verb, before, w.o.Server)
	}
}

// shown says whether a condition is printed: what is true is not, unless it just became so in a brief script.
func (w *world) shown(c lifecycle.Condition) bool {
	if !w.brief {
		return c.Status != lifecycle.True
	}
	for _, old := range w.o.Server.Status.Conditions {
		if old.Type == c.Type {
			return old.Reason != c.Reason || string(old.Status) != string(c.Status) || old.Message != c.Message && c.Type != reasons.Ready
		}
	}
	return c.Status != lifecycle.True
}

func owner(m *metal.ManagedBy) string {
	s := fmt.Sprintf("managed by %s", m.Installation)
	if m.Epoch > 1 {
		s += fmt.Sprintf(" (%d)", m.Epoch)
	}
	if let := m.LetGo; let != nil {
		s += fmt.Sprintf(", let go with %q, packed %v", let.BindingID, let.PackedAt != nil)
	}
	return s
}

func record(r *metal.ServerRecord) string {
	s := owner(r.ManagedBy)
	if r.Power != nil {
		s += fmt.Sprintf(", power request %s %s at %s", r.Power.ID, r.Power.Step, r.Power.At.Format("15:04:05"))
	}
	if a := r.Acceptance; a != nil {
		s += fmt.Sprintf(", accepted by %q for %s of %s", a.RequestID, a.Level, serials(a.Disks))
	}
	if r.Unverified != nil {
		s += ", unverified " + r.Unverified.Reason
	}
	if b := r.Boot; b != nil {
		s += fmt.Sprintf(", boot %s %s", b.ID, b.Phase)
		if b.Target == metal.BootTargetOS {
			s += " of the OS"
		}
		if b.RestartedBy != "" {
			s += " acknowledged by " + b.RestartedBy
		}
		if b.Attempt > 1 {
			s += fmt.Sprintf(" attempt %d", b.Attempt)
		}
		if b.Phase == metal.BootVoid && b.Reason != "" {
			s += " " + b.Reason
		}
	}
	if r.Power != nil && len(r.Power.Cycles) > 0 {
		s += fmt.Sprintf(", %d remedies", len(r.Power.Cycles))
	}
	if c := r.Claim; c != nil {
		s += ", claimed by " + c.Name
		if c.Reused != nil {
			s += " (reused, not wiped since " + c.Reused.Name + ")"
		}
		if c.BoundAt != nil {
			s += " (bound)"
		}
		switch {
		case c.LeftAt != nil:
			s += ", left etcd"
		case c.LeavingAt != nil:
			s += ", leaves etcd"
		}
	}
	if i := r.Installed; i != nil {
		s += fmt.Sprintf(", installed by %s, running %v", i.BootID, i.RunningAt != nil)
	}
	s += releaseText(r.Release)
	if g := r.Wipe; g != nil {
		s += fmt.Sprintf(", wipe %s.%d of %s in boot %s", g.ID, g.Generation, serials(g.Disks), g.BootID)
		if g.VerifiedAt != nil {
			s += " verified"
		}
	}
	if r.Agent != nil {
		s += ", agent " + r.Agent.Key + " waits"
	}
	if r.Quarantine != nil {
		s += fmt.Sprintf(", quarantine %s (%s)", r.Quarantine.Reason, r.Quarantine.Message)
	}
	if r.BMCPin != nil {
		s += ", pin " + r.BMCPin.SHA256
	}
	return s
}

func serials(disks []metal.DiskID) string {
	var names []string
	for _, d := range disks {
		names = append(names, d.Serial)
	}
	return "[" + strings.Join(names, " ") + "]"
}

// carryOut writes what the reconciler writes.
func (w *world) carryOut(p lifecycle.Plan) {
	if r := p.Record; r != nil {
		w.o.Server.Spec.Record = r
		w.o.Server.Spec.Accepted = w.o.Server.Spec.Accepted || p.Accepted
		if r.Boot != nil && r.Boot.ID == w.o.NewID || r.Wipe != nil && r.Wipe.ID == w.o.NewID {
			w.ids++
		}
	}
	switch p.Action.Kind {
	case lifecycle.NoAction:
	case lifecycle.PublishErase:
		w.o.Erased = p.Action.ID
	case lifecycle.WritePassport:
		w.o.Passport.Content = lifecycle.PassportOf(w.o.Server, w.o.Inventory)
	case lifecycle.EmptyPassport:
		w.o.Passport.Content = nil
	case lifecycle.WithdrawPower:
		w.o.Power.Pending = ""
	default:
		w.last = p.Action
		w.o.Power.Pending = p.Action.ID
	}
	if p.Silent {
		return
	}
	s := &w.o.Server.Status
	s.Power, s.PendingAction, s.Boot, s.State, s.Disks = p.Power, p.Pending, &p.Boot, p.State, p.Disks
	s.Conditions = nil
	for _, c := range p.Conditions {
		s.Conditions = append(s.Conditions, metav1.Condition{Type: c.Type, Status: metav1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message})
	}
}

func releaseText(f *metal.ReleaseRecord) string {
	if f == nil {
		return ""
	}
	s := fmt.Sprintf(", released by %s at level %s with %s", f.Name, f.Level, serials(f.Disks))
	if f.OffAt != nil {
		s += ", off by " + string(f.Proof)
	}
	if f.ReuseUntil != nil {
		s += ", kept for " + f.ReuseOwner + " until " + f.ReuseUntil.Format("15:04:05")
	}
	return s
}
