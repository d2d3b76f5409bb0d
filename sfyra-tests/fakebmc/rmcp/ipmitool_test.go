package rmcp_test

import (
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// TestIPMITool: what others wrote takes it for a BMC, with either suite and with the one that it chooses itself.
func TestIPMITool(t *testing.T) {
	t.Parallel()
	for _, suite := range [][]string{nil, {"-C", "17"}, {"-C", "3"}} {
		l := start(t, nil)
		for _, step := range []struct {
			words string
			args  []string
			on    bool
		}{
			{"Chassis Power is off", []string{"power", "status"}, false},
			{"Up/On", []string{"power", "on"}, true},
			{"Up/On", []string{"power", "on"}, true},
			{"Chassis Power is on", []string{"power", "status"}, true},
			{"Reset", []string{"power", "reset"}, true},
			{"Cycle", []string{"power", "cycle"}, true},
			{"Soft", []string{"power", "soft"}, true},
			{"Down/Off", []string{"power", "off"}, false},
			{"Down/Off", []string{"power", "off"}, false},
			{"IPMI Version              : 2.0", []string{"mc", "info"}, false},
			{"System Power         : off", []string{"chassis", "status"}, false},
		} {
			l.says(step.words, append(suite, step.args...)...)
			if on, _ := l.machine.PowerState(t.Context()); on != step.on {
				t.Fatalf("after %v the machine is on=%v", step.args, on)
			}
		}
		l.fails("not supported in present state", append(suite, "power", "reset")...)
		l.fails("not supported in present state", append(suite, "power", "soft")...)
		if n := l.bmc.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	}
}

// TestSoftLeavesTheHostAlone: it goes when its system ends.
func TestSoftLeavesTheHostAlone(t *testing.T) {
	t.Parallel()
	l := start(t, nil)
	l.says("", "power", "on")
	l.says("", "power", "soft")
	l.says("is on", "power", "status")
	l.machine.GuestEnds()
	l.says("is off", "power", "status")
	l.faults.Set(fakebmc.Fault{NoShutdown: true})
	l.says("", "power", "on")
	l.fails("Invalid data field", "power", "soft")
}

// TestWhoIsLetIn: suite 0, a wrong password and a wrong user are not, and an account's rights bound it.
func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	l := start(t, func(c *rmcp.Config) { c.Privilege = rmcp.User })
	for name, c := range map[string]struct {
		user, password string
		args           []string
		ok             bool
	}{
		"looking":        {user, password, []string{"-L", "USER", "power", "status"}, true},
		"switching":      {user, password, []string{"-L", "USER", "power", "on"}, false},
		"as operator":    {user, password, []string{"-L", "OPERATOR", "power", "status"}, false},
		"no protection":  {user, password, []string{"-L", "USER", "-C", "0", "power", "status"}, false},
		"wrong password": {user, "wrong", []string{"-L", "USER", "power", "status"}, false},
		"wrong user":     {"root", password, []string{"-L", "USER", "power", "status"}, false},
		"IPMI 1.5":       {user, password, []string{"-I", "lan", "-L", "USER", "power", "status"}, false},
	} {
		if out, err := l.tool(c.user, c.password, c.args...); (err == nil) != c.ok {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if orders := l.machine.Orders(); len(orders) != 0 {
		t.Errorf("the machine was ordered %v", orders)
	}
}

// TestBootFlags: they are the machine's override while the firmware heeds them, serve once, and are cleared after a minute unless told otherwise.
func TestBootFlags(t *testing.T) {
	t.Parallel()
	l := start(t, nil)
	override := func() machine.BootOverride { o, _ := l.machine.BootOverride(t.Context()); return o }
	const pxe, valid, invalid = "Force PXE", "Boot Flag Valid", "Boot Flag Invalid"
	l.says("", "chassis", "bootdev", "pxe", "options=efiboot")
	l.says(pxe, "chassis", "bootparam", "get", "5")
	if o := override(); o.Target != machine.TargetPxe || !o.Once {
		t.Errorf("the override is %+v", o)
	}
	l.says("", "power", "on")
	l.says(invalid, "chassis", "bootparam", "get", "5")
	if _, booted := l.machine.Starts(); booted.Target != machine.TargetPxe {
		t.Errorf("it started from %+v", booted)
	}
	l.says("", "chassis", "bootdev", "disk", "options=efiboot,persistent")
	l.says("", "power", "cycle")
	l.says(valid, "chassis", "bootparam", "get", "5")
	if o := override(); o.Target != machine.TargetHdd || o.Once {
		t.Errorf("the override is %+v", o)
	}
	l.says("", "chassis", "bootdev", "pxe") // for a BIOS, which this is not
	l.says(pxe, "chassis", "bootparam", "get", "5")
	if o := override(); o.Pending() {
		t.Errorf("the firmware heeds flags of the other kind: %+v", o)
	}
	l.fails("Invalid data field", "raw", "0", "8", "5", "0xa0", "0x24", "0", "0", "0") // a device that it lacks
	l.fails("", "raw", "0", "8", "9", "1")
}

// TestFlagsExpire: 60 s, a Chassis Control begins them anew, and parameter 3 ends them, unless that is the fault.
func TestFlagsExpire(t *testing.T) {
	t.Parallel()
	l := start(t, nil)
	pending := func(want bool, after time.Duration) {
		t.Helper()
		l.clock.Pass(after)
		l.says("", "power", "status")
		if o, _ := l.machine.BootOverride(t.Context()); o.Pending() != want {
			t.Errorf("after %s the override is %+v", after, o)
		}
	}
	set := func() { t.Helper(); l.says("", "raw", "0", "8", "5", "0xa0", "4", "0", "0", "0") }
	set()
	pending(true, 59*time.Second)
	pending(false, time.Second)
	set()
	pending(true, 59*time.Second)
	l.says("", "power", "off") // it is off, and the order counts
	pending(true, 59*time.Second)
	pending(false, time.Second)
	l.says("", "raw", "0", "8", "3", "8")
	set()
	pending(true, time.Hour)
	l.faults.Set(fakebmc.Fault{FlagsExpire: true})
	l.fails("", "raw", "0", "8", "3", "8")
	l.fails("", "raw", "0", "9", "3", "0", "0")
}

// TestFaults: what a test sets shows to others, and is off otherwise.
func TestFaults(t *testing.T) {
	t.Parallel()
	l := start(t, nil)
	l.faults.Set(fakebmc.Fault{IgnorePower: true, IgnoreBoot: true})
	l.says("Up/On", "power", "on")
	l.says("Set Boot Device to pxe", "chassis", "bootdev", "pxe")
	l.says("is off", "power", "status")
	if orders := l.machine.Orders(); len(orders) != 0 {
		t.Errorf("ignored orders reached the machine: %v", orders)
	}
	l.faults.Set(fakebmc.Fault{Inverted: true})
	l.says("is on", "power", "status")
	l.faults.Set(fakebmc.Fault{Status: 500})
	l.fails("", "power", "status")
	for name, fault := range map[string]fakebmc.Fault{"dead": {Dead: true}, "garbage": {Garbage: true}} {
		l.faults.Set(fault)
		if out, err := l.tool(user, password, "-N", "1", "-R", "1", "power", "status"); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	for _, fault := range []fakebmc.Fault{{Full: true}, {Rotated: true}} {
		l.faults.Set(fault)
		if out, err := l.tool(user, password, "power", "status"); err == nil {
			t.Errorf("%+v: %s", fault, out)
		}
		if n := l.bmc.Sessions(); n != 0 && fault.Full { // the password is looked at when a session is half open
			t.Errorf("%+v: %d sessions", fault, n)
		}
	}
	l.faults.Set(fakebmc.Fault{Latency: 300 * time.Millisecond})
	begun := time.Now()
	l.says("is off", "power", "status")
	if time.Since(begun) < 300*time.Millisecond {
		t.Error("it was not slow")
	}
	l.faults.Set(fakebmc.Fault{})
	l.says("is off", "power", "status")
}

// TestLogHoldsNoSecret: what came through sessions is listed, with codes, and the password is not in it.
func TestLogHoldsNoSecret(t *testing.T) {
	var out strings.Builder
	l := start(t, func(c *rmcp.Config) { c.Log = textLog(&out) })
	l.says("", "power", "on")
	var found bool
	for _, c := range l.bmc.Commands() {
		found = found || c.NetFn == rmcp.Chassis && c.Cmd == rmcp.ChassisControl && c.Data[0] == rmcp.Up && c.Code == 0
	}
	_ = l.bmc.Close()
	if !found || !strings.Contains(out.String(), "netfn=0 cmd=2 data=01") {
		t.Errorf("the order is not in the log: %v\n%s", l.bmc.Commands(), out.String())
	}
	if strings.Contains(out.String(), "correct") {
		t.Error("the log shows the password")
	}
}
