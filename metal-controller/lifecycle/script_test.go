package lifecycle_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
	var got bytes.Buffer
	w := newWorld()
	for lines := bufio.NewScanner(bytes.NewReader(want)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&got, line)
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(line, "#") {
			if err := w.do(&got, words[0], words[1:]); err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
		}
	}
	if bytes.Equal(got.Bytes(), want) {
		return
	}
	if *rewrite {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s says otherwise now (go test -rewrite shows it as a diff):\n%s", file, got.String())
}

// world is one server and everything around it.
type world struct {
	o    lifecycle.Observation
	last lifecycle.Action
}

// epoch is when every script begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 600e6, time.UTC)

func newWorld() *world {
	return &world{o: lifecycle.Observation{Now: epoch, Installation: "here", Server: &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}}}}
}

// do runs one command. Each has its verb here and its meaning beside it.
func (w *world) do(out *bytes.Buffer, verb string, args []string) error {
	arg := strings.Join(args, " ")
	switch verb {
	case "bmc": // bmc [none]: declares a BMC, or takes it away
		w.o.Server.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "secret"}
		if arg == "none" {
			w.o.Server.Spec.BMC = nil
		}
	case "accept":
		w.o.Server.Spec.Accepted = true
	case "inventory": // inventory CONTENTS...: the agent reports disks
		w.o.Inventory = inventory(args)
	case "agent": // agent BOOT: an agent is connected
		w.o.Agent = &lifecycle.AgentSession{BootID: arg}
	case "conflict": // conflict SERVER...
		w.o.ConflictsWith = args
	case "manager": // manager INSTALLATION
		w.o.Server.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: arg, Epoch: 1}}
	case "request": // request ID ACTION [AGE]
		return w.request(args)
	case "wait": // wait DURATION
		d, err := time.ParseDuration(arg)
		w.o.Now = w.o.Now.Add(d)
		return err
	case "read": // read On|Off|REASON: the BMC plane has a new reading
		w.read(arg)
	case "done": // done On|Off: the BMC plane ends the last action with success
		w.read(arg)
		w.o.Power.Done, w.o.Power.Pending, w.o.Power.CommandAt = w.last.ID, "", w.o.Now
	case "lose-status":
		w.o.Server.Status = metal.ServerStatus{}
	case "restart": // restart: the controller's memory is gone
		w.o.Power, w.o.Agent, w.o.ConflictsWith = lifecycle.PowerReading{}, nil, nil
	case "decide":
		w.decide(out)
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
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
	age := time.Duration(0)
	if len(args) == 3 {
		var err error
		if age, err = time.ParseDuration(args[2]); err != nil {
			return err
		}
	}
	w.o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: args[0], Action: metal.PowerAction(args[1]), RequestedAt: metav1.NewTime(w.o.Now.Add(-age))}
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
	p := lifecycle.Decide(w.o)
	say := func(format string, args ...any) { fmt.Fprintf(out, "  "+format+"\n", args...) }
	say("%s, boots %s, power %s", p.State, p.Boot.Target, p.Power.State)
	for _, c := range p.Conditions {
		if c.Status != lifecycle.True {
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
	if p.After != 0 {
		say("again in %s", p.After)
	}
	w.carryOut(p)
}

func record(r *metal.ServerRecord) string {
	s := fmt.Sprintf("managed by %s", r.ManagedBy.Installation)
	if r.Power != nil {
		s += fmt.Sprintf(", power request %s %s at %s", r.Power.ID, r.Power.Step, r.Power.At.Format("15:04:05"))
	}
	return s
}

// carryOut writes what the reconciler writes.
func (w *world) carryOut(p lifecycle.Plan) {
	if p.Record != nil {
		w.o.Server.Spec.Record = p.Record
	}
	switch p.Action.Kind {
	case lifecycle.NoAction:
	case lifecycle.WithdrawPower:
		w.o.Power.Pending = ""
	default:
		w.last = p.Action
		w.o.Power.Pending = p.Action.ID
	}
	s := &w.o.Server.Status
	s.Power, s.PendingAction, s.Boot, s.State = p.Power, p.Pending, &p.Boot, p.State
	s.Conditions = nil
	for _, c := range p.Conditions {
		s.Conditions = append(s.Conditions, metav1.Condition{Type: c.Type, Status: metav1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message})
	}
}
