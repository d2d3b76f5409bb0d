package agentserver

import (
	"testing"

	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestRender: each kind of task is its own directive with its words; everything that is not known lets the machine wait.
func TestRender(t *testing.T) {
	task := func(k lifecycle.TaskKind) lifecycle.Task { return lifecycle.Task{Kind: k, Reason: "R", Message: "m"} }
	if d := render(task(lifecycle.TaskLeave)).GetLeave(); d.GetReason() != "R" || d.GetMessage() != "m" {
		t.Errorf("leave: %v", d)
	}
	if d := render(task(lifecycle.TaskPowerOff)).GetPowerOff(); d.GetReason() != "R" || d.GetMessage() != "m" {
		t.Errorf("power off: %v", d)
	}
	again := task(lifecycle.TaskRestart)
	again.BootID = "b1"
	if d := render(again).GetRestart(); d.GetReason() != "R" || d.GetMessage() != "m" || d.GetBootId() != "b1" {
		t.Errorf("restart: %v", d)
	}
	for _, k := range []lifecycle.TaskKind{lifecycle.TaskWait, lifecycle.TaskDenied, "", "Explode"} {
		if d := render(task(k)).GetWait(); d.GetReason() != "R" || d.GetMessage() != "m" {
			t.Errorf("%q: %v", k, d)
		}
	}
	// Only lifecycle makes a grant that names disks; an empty one names nothing.
	if d := render(task(lifecycle.TaskWipe)).GetWipe(); d == nil || d.GetId() != "" || len(d.GetDisks()) != 0 {
		t.Errorf("an empty grant: %v", d)
	}
}
