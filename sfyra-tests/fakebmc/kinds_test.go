package fakebmc_test

import (
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/clock"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
)

// TestKinds: each name makes a fault of its own, several make one that is all of them, and a word that is none is answered with those that are.
func TestKinds(t *testing.T) {
	seen := map[fakebmc.Fault]string{{}: "an honest BMC"}
	for _, k := range fakebmc.Kinds() {
		fault, err := fakebmc.FaultOf(k.Name)
		if err != nil || k.Effect == "" || strings.ContainsAny(k.Name, "=, +") {
			t.Errorf("%+v: %v", k, err)
		}
		if other := seen[fault]; other != "" {
			t.Errorf("%s is the same as %s", k.Name, other)
		}
		seen[fault] = k.Name
	}
	if len(seen) != 10 {
		t.Errorf("%d kinds", len(seen)-1)
	}
	if both, err := fakebmc.FaultOf("slow", "lying"); err != nil || both.Latency == 0 || !both.IgnorePower || both.Dead {
		t.Errorf("two: %+v, %v", both, err)
	}
	if none, err := fakebmc.FaultOf(); err != nil || none != (fakebmc.Fault{}) {
		t.Errorf("none: %+v, %v", none, err)
	}
	_, err := fakebmc.FaultOf("lying", "moody")
	for _, want := range append(fakebmc.KindNames(), `"moody"`) {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("an unknown kind: %v does not say %s", err, want)
		}
	}
}

// faulty is a BMC whose faults and clock the test moves.
func faulty(t *testing.T) (*client, *fakebmc.Faults, *clock.Clock) {
	faults, now := &fakebmc.Faults{}, clock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return start(t, func(config *fakebmc.Config) { config.Faults, config.Now = faults, now.Now }), faults, now
}

// TestInverted: it reads the wrong way round, and orders do what they say; also one that is senseless for the host as it is.
func TestInverted(t *testing.T) {
	c, faults, _ := faulty(t)
	c.want(409, "POST", reset, `{"ResetType":"ForceOff"}`) // the control
	faults.Set(fakebmc.Fault{Inverted: true})
	if got := c.power(); got != "On" {
		t.Errorf("a host that is off reads %v", got)
	}
	c.want(204, "POST", reset, `{"ResetType":"ForceOff"}`)
	c.want(204, "POST", reset, `{"ResetType":"On"}`)
	if got := c.power(); got != "Off" {
		t.Errorf("a host that is on reads %v", got)
	}
	c.want(204, "POST", reset, `{"ResetType":"On"}`)
	faults.Set(fakebmc.Fault{})
	if got := c.power(); got != "On" {
		t.Errorf("the fault over, a host that is on reads %v", got)
	}
}

// TestExpiring: an override lasts for a minute, and a minute from the last power order. An honest BMC keeps it, and so does one with the fault for 59 s.
func TestExpiring(t *testing.T) {
	c, faults, now := faulty(t)
	const once = `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`
	is := func(when string, want any) {
		t.Helper()
		if enabled, _ := c.override(); enabled != want {
			t.Errorf("%s: the override is %v, want %v", when, enabled, want)
		}
	}
	c.want(204, "PATCH", system, once)
	now.Pass(time.Hour)
	is("honest, after an hour", "Once")
	c.want(204, "PATCH", system, once)
	faults.Set(fakebmc.Fault{FlagsExpire: true})
	now.Pass(59 * time.Second)
	is("after 59 s", "Once")
	c.want(409, "POST", reset, `{"ResetType":"ForceOff"}`) // a power order, although a senseless one
	now.Pass(59 * time.Second)
	is("59 s after an order", "Once")
	now.Pass(time.Second)
	is("a minute after it", "Disabled")
	c.want(204, "POST", reset, `{"ResetType":"On"}`)
	if _, booted := c.machine.Starts(); booted.Pending() {
		t.Errorf("it booted from %+v", booted)
	}
}

// TestFull: no login finds room, who had a session has none, and Basic authentication goes on. The fault over, the same login works.
func TestFull(t *testing.T) {
	c, faults, _ := faulty(t)
	_, header, _ := c.do("POST", sessions, login(password))
	c.auth = token(header.Get("X-Auth-Token"))
	c.want(200, "GET", system, "")
	faults.Set(fakebmc.Fault{Full: true})
	c.want(401, "GET", system, "")
	c.want(503, "POST", sessions, login(password))
	c.auth = basic(user, password)
	c.want(200, "GET", system, "")
	faults.Set(fakebmc.Fault{})
	c.want(201, "POST", sessions, login(password))
}

// TestRotated: neither the password of before nor a session of before is let in.
func TestRotated(t *testing.T) {
	c, faults, _ := faulty(t)
	_, header, _ := c.do("POST", sessions, login(password))
	for _, auth := range []struct {
		rotated bool
		status  [3]int
	}{{false, [3]int{200, 200, 201}}, {true, [3]int{401, 401, 401}}, {false, [3]int{200, 200, 201}}} {
		faults.Set(fakebmc.Fault{Rotated: auth.rotated})
		c.auth = token(header.Get("X-Auth-Token"))
		c.want(auth.status[0], "GET", system, "")
		c.auth = basic(user, password)
		c.want(auth.status[1], "GET", system, "")
		c.want(auth.status[2], "POST", sessions, login(password))
	}
}

// TestSwappedByFault: new connections see the other certificate, open ones are dropped, and the way back is the same. The own certificate stays what it was.
func TestSwappedByFault(t *testing.T) {
	c, faults, _ := faulty(t)
	c.want(200, "GET", system, "")
	first := shown(t, c.bmc.Addr())
	faults.Set(fakebmc.Fault{Swapped: true})
	c.want(200, "GET", system, "") // the client opens a kept connection that was dropped again by itself
	second := shown(t, c.bmc.Addr())
	if second == first || shown(t, c.bmc.Addr()) != second || c.bmc.Fingerprint() != first {
		t.Errorf("it shows %s, before %s, and says %s", second, first, c.bmc.Fingerprint())
	}
	faults.Set(fakebmc.Fault{})
	if got := shown(t, c.bmc.Addr()); got != first {
		t.Errorf("the fault over, it shows %s, want %s", got, first)
	}
	c.want(200, "GET", system, "")
}

// TestGarbage: every answer is nonsense, and no order gets through.
func TestGarbage(t *testing.T) {
	c, faults, _ := faulty(t)
	faults.Set(fakebmc.Fault{Garbage: true})
	for _, path := range []string{"/redfish/v1/", system} {
		if object := c.want(200, "GET", path, ""); object != nil {
			t.Errorf("%s: it makes sense: %v", path, object)
		}
	}
	c.want(200, "POST", reset, `{"ResetType":"On"}`)
	if orders := c.machine.Orders(); len(orders) != 0 {
		t.Errorf("the machine got %v", orders)
	}
	faults.Set(fakebmc.Fault{})
	if c.power() != "Off" {
		t.Error("the fault stayed")
	}
}
