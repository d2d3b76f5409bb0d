package bmc_test

import (
	"errors"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
)

// TestShutdownIsNoLie: the order is done when the BMC took it. A system that never follows makes no liar of its BMC, while a hard order that does not
// show does.
func TestShutdownIsNoLie(t *testing.T) {
	for verb, lie := range map[bmc.Verb]bool{bmc.ShutDown: false, bmc.PowerOff: true} {
		inBubble(t, func(t *testing.T, b *bench) {
			b.SetOn(true)
			b.Behave(bmctest.Behaviour{IgnorePower: true})
			b.plane.Ensure(server, right)
			pass(time.Second)
			b.plane.Submit(server, bmc.Action{ID: "a", Verb: verb})
			early := b.latest()
			if done := early.ActionID == "a" && early.ActionErr == nil; done == lie {
				t.Errorf("%s, at once: %+v", verb, early)
			}
			pass(10 * time.Minute)
			r := b.latest()
			if r.ActionID != "a" || r.Power != bmc.On || errors.Is(r.Belied(), bmc.ErrLied) != lie || (r.ActionErr != nil) != lie || r.Err != nil {
				t.Errorf("%s: %+v", verb, r)
			}
		})
	}
}

// TestShutdownIsFollowed: a host that was asked is looked at often for a while, so that its going off is known soon; afterwards it is as before.
func TestShutdownIsFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.SetOn(true)
		b.plane.Ensure(server, right)
		pass(time.Second)
		b.plane.Submit(server, bmc.Action{ID: "a", Verb: bmc.ShutDown})
		pass(time.Minute)
		b.Follow()
		pass(10 * time.Second)
		if r := b.latest(); r.Power != bmc.Off {
			t.Errorf("ten seconds after it went off: %+v", r)
		}
		b.SetOn(true)
		pass(10 * time.Second)
		if r := b.latest(); r.Power != bmc.Off {
			t.Errorf("control: nobody looks often any more, yet it reads %s", r.Power)
		}
	})
}

// TestOffIsAwaited: a host that somebody else told to switch itself off is read at once and soon after, while one that stays on is left in peace again after
// a while; the control is a host that nobody waits for.
func TestOffIsAwaited(t *testing.T) {
	for wait, want := range map[bool]bmc.PowerState{true: bmc.Off, false: bmc.On} {
		inBubble(t, func(t *testing.T, b *bench) {
			b.SetOn(true)
			b.plane.Ensure(server, right)
			pass(2 * time.Second)
			if wait {
				b.plane.AwaitOff(server)
				if r := b.latest(); !r.At.Equal(time.Now()) || r.Power != bmc.On {
					t.Errorf("it was not read at once: %+v", r)
				}
			}
			pass(time.Second)
			b.SetOn(false)
			pass(1500 * time.Millisecond)
			if r := b.latest(); r.Power != want {
				t.Errorf("awaited %t: it reads %s, want %s", wait, r.Power, want)
			}
		})
	}
	inBubble(t, func(t *testing.T, b *bench) {
		b.SetOn(true)
		b.plane.Ensure(server, right)
		b.plane.AwaitOff("somebody else")
		b.plane.AwaitOff(server)
		pass(time.Minute)
		if age := time.Since(b.latest().At); age > 6*time.Second {
			t.Errorf("control: after a minute it was read %s ago", age)
		}
		pass(4 * time.Minute)
		if age := time.Since(b.latest().At); age < 10*time.Second {
			t.Errorf("after five minutes it was read %s ago", age)
		}
	})
}

// TestShutdownThatIsNotOffered: the order ends with the reason, and the BMC goes on answering.
func TestShutdownThatIsNotOffered(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.SetOn(true)
		b.Behave(bmctest.Behaviour{NoShutdown: true})
		b.plane.Ensure(server, right)
		pass(time.Second)
		b.plane.Submit(server, bmc.Action{ID: "a", Verb: bmc.ShutDown})
		pass(time.Second)
		r := b.latest()
		if r.ActionID != "a" || !errors.Is(r.ActionErr, bmc.ErrUnsupported) || r.Err != nil || r.Power != bmc.On || r.Pending != "" || b.Orders() != 0 {
			t.Errorf("%d orders, %+v", b.Orders(), r)
		}
		b.plane.Submit(server, bmc.Action{ID: "b", Verb: bmc.PowerOff})
		pass(time.Minute)
		if r := b.latest(); r.Power != bmc.Off || r.ActionErr != nil {
			t.Errorf("the hard order afterwards: %+v", r)
		}
	})
}
