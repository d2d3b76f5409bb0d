package bmc_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var right = bmc.Target{Host: "192.0.2.1", Username: "admin", Password: bmc.NewSecret("right")}

// bench is a plane with one BMC in memory, in a bubble of synctest.
type bench struct {
	*bmctest.BMC
	plane *bmc.Plane

	mu    sync.Mutex
	woken int
}

const server = "rack1-u7"

// inBubble runs a test in virtual time, with a plane that watches nothing yet.
func inBubble(t *testing.T, run func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{BMC: bmctest.NewBMC(right)}
		b.plane = bmc.NewPlane(bmc.Options{Open: b.Open, Wake: b.wake, Random: func() float64 { return 0.5 }})
		run(t, b)
		b.plane.Close()
		if b.Sessions() != 0 || b.MostSessions() > 1 {
			t.Errorf("%d sessions are left, %d were open at once", b.Sessions(), b.MostSessions())
		}
	})
}

func (b *bench) wake(string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.woken++
}

// wakes counts the wakes since the last call.
func (b *bench) wakes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.woken
	b.woken = 0
	return n
}

// pass lets virtual time go by and everything come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (b *bench) latest() bmc.Reading {
	synctest.Wait()
	return b.plane.Latest(server)
}

func TestReadingWakesOnChangeOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		if r := b.plane.Latest(server); r.Power != bmc.Unknown || !r.At.IsZero() {
			t.Errorf("a server that is not watched reads %+v", r)
		}
		b.plane.Ensure(server, right)
		r := b.latest()
		if r.Power != bmc.Off || r.Err != nil || r.PinSeen != "00aa" || !r.At.Equal(time.Now()) {
			t.Fatalf("first reading: %+v", r)
		}
		if b.wakes() == 0 {
			t.Error("the first reading did not wake")
		}
		pass(time.Hour)
		if n := b.wakes(); n != 0 {
			t.Errorf("%d wakes while nothing changed", n)
		}
		if age := time.Since(b.latest().At); age > 2*time.Minute {
			t.Errorf("the reading is %s old", age)
		}
		b.SetOn(true)
		pass(2 * time.Minute)
		if r := b.latest(); r.Power != bmc.On || b.wakes() != 1 {
			t.Errorf("after the button: %+v", r)
		}
	})
}

func TestActionIsDoneOnceAndReadBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		on := bmc.Action{ID: "a", Verb: bmc.PowerOn}
		if b.plane.Submit(server, on) {
			t.Error("an action for a server that is not watched was taken")
		}
		b.plane.Ensure(server, right)
		b.Lag(20 * time.Second)
		b.plane.Submit(server, on)
		if r := b.latest(); r.Pending != "a" || r.ActionID != "" {
			t.Fatalf("before the host is on: %+v", r)
		}
		b.plane.Submit(server, on)
		pass(30 * time.Second)
		r := b.latest()
		if r.Power != bmc.On || r.ActionID != "a" || r.ActionErr != nil || r.Pending != "" || r.ActionAt.IsZero() {
			t.Fatalf("after: %+v", r)
		}
		b.SetOn(false)
		b.plane.Submit(server, on)
		pass(time.Minute)
		if b.Orders() != 1 || b.On() {
			t.Errorf("the same ID ran again: %d orders", b.Orders())
		}
		b.plane.Submit(server, bmc.Action{ID: "b", Verb: bmc.BootNetworkOnce})
		synctest.Wait()
		if set, once := b.BootNetwork(); !set || !once || b.latest().ActionID != "b" {
			t.Errorf("boot override: set=%v once=%v %+v", set, once, b.latest())
		}
	})
}

func TestUnknownVerbFails(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.plane.Ensure(server, right)
		b.plane.Submit(server, bmc.Action{ID: "a", Verb: "Explode"})
		if r := b.latest(); !errors.Is(r.ActionErr, bmc.ErrUnsupported) || r.Err != nil || r.Power != bmc.Off {
			t.Errorf("reading: %+v", r)
		}
	})
}

func TestLatestActionReplacesWaitingOne(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.Behave(bmctest.Behaviour{Dead: true})
		b.plane.Ensure(server, right)
		b.plane.Submit(server, bmc.Action{ID: "off", Verb: bmc.BootNetworkAlways})
		b.plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
		pass(2 * time.Minute)
		if r := b.latest(); !errors.Is(r.Err, bmc.ErrUnreachable) || r.Pending != "on" {
			t.Fatalf("while dead: %+v", r)
		}
		b.Behave(bmctest.Behaviour{})
		pass(6 * time.Minute)
		if r := b.latest(); r.ActionID != "on" || r.ActionErr != nil || b.Orders() != 1 || r.Err != nil {
			t.Errorf("after: %+v, %d orders", r, b.Orders())
		}
	})
}

func TestActionOutlastsSilence(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.plane.Ensure(server, right)
		synctest.Wait()
		b.Behave(bmctest.Behaviour{Dead: true})
		b.plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
		pass(2 * time.Minute)
		if r := b.latest(); r.Pending != "on" || r.ActionID != "" || !errors.Is(r.Err, bmc.ErrUnreachable) {
			t.Fatalf("while the BMC is silent: %+v", r)
		}
		b.Behave(bmctest.Behaviour{})
		pass(5 * time.Minute)
		if r := b.latest(); r.ActionID != "on" || r.ActionErr != nil || !b.On() || b.Orders() != 1 {
			t.Errorf("after: %+v, %d orders", r, b.Orders())
		}
	})
}

func TestWithdrawnActionIsNotRun(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.Behave(bmctest.Behaviour{Dead: true})
		b.plane.Ensure(server, right)
		b.plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
		b.plane.Submit(server, bmc.Action{})
		b.Behave(bmctest.Behaviour{})
		pass(10 * time.Minute)
		if r := b.latest(); b.Orders() != 0 || r.Pending != "" || r.ActionID != "" || r.Power != bmc.Off {
			t.Errorf("%d orders, %+v", b.Orders(), r)
		}
	})
}

func TestOldActionExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.Behave(bmctest.Behaviour{Dead: true})
		b.plane.Ensure(server, right)
		b.plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
		pass(12 * time.Minute)
		r := b.latest()
		if r.ActionID != "on" || !errors.Is(r.ActionErr, bmc.ErrUnreachable) || r.Pending != "" {
			t.Fatalf("after its life: %+v", r)
		}
		b.Behave(bmctest.Behaviour{})
		pass(time.Hour)
		if b.On() || b.latest().Power != bmc.Off {
			t.Error("an expired action ran when the BMC came back")
		}
	})
}

func TestIgnoredOrdersAreLies(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.plane.Ensure(server, right)
		b.Behave(bmctest.Behaviour{IgnorePower: true, IgnoreBoot: true})
		b.plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
		pass(3 * time.Minute)
		if r := b.latest(); r.ActionID != "on" || !errors.Is(r.ActionErr, bmc.ErrLied) || r.Err != nil {
			t.Fatalf("ignored power order: %+v", r)
		}
		pass(10 * time.Minute)
		if r := b.latest(); !errors.Is(r.Belied(), bmc.ErrLied) || !r.At.After(r.ActionAt) {
			t.Fatalf("later readings made the lie true: %+v", r)
		}
		b.plane.Submit(server, bmc.Action{ID: "net", Verb: bmc.BootNetworkOnce})
		pass(time.Minute)
		if r := b.latest(); r.ActionID != "net" || !errors.Is(r.ActionErr, bmc.ErrLied) {
			t.Fatalf("ignored boot order: %+v", r)
		}
		if b.Orders() != 4 {
			t.Errorf("%d orders: one for power and three for boot are the bound", b.Orders())
		}
		b.Behave(bmctest.Behaviour{})
		b.Lag(110 * time.Second)
		b.plane.Submit(server, bmc.Action{ID: "late", Verb: bmc.PowerOn})
		pass(3 * time.Minute)
		if r := b.latest(); r.ActionID != "late" || r.ActionErr != nil || r.Power != bmc.On {
			t.Errorf("a slow host was called a liar: %+v", r)
		}
	})
}

// TestALieEndsWhenThePowerShows: by itself, as when a person presses the button, or with another address, whose BMC never lied.
func TestALieEndsWhenThePowerShows(t *testing.T) {
	other := right
	other.Port++
	for name, mend := range map[string]func(*bench){
		"button":  func(b *bench) { b.SetOn(true) },
		"address": func(b *bench) { b.plane.Ensure(server, other) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.plane.Ensure(server, right)
				b.Behave(bmctest.Behaviour{IgnorePower: true})
				b.plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
				pass(5 * time.Minute)
				if b.latest().Belied() == nil { // the control
					t.Fatalf("no lie: %+v", b.latest())
				}
				mend(b)
				pass(5 * time.Minute)
				if r := b.latest(); r.Belied() != nil || r.At.IsZero() {
					t.Errorf("the lie stays: %+v", r)
				}
			})
		})
	}
}

func TestCallsDoNotWait(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.Behave(bmctest.Behaviour{Dead: true})
		b.plane.Ensure(server, right)
		synctest.Wait() // the worker hangs in Open
		before := time.Now()
		b.plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
		b.plane.Refresh(server)
		b.plane.Latest(server)
		other := right
		other.Host = "192.0.2.2"
		b.plane.Ensure(server, other)
		b.plane.Forget(server)
		b.plane.Forget("nobody")
		if time.Since(before) != 0 {
			t.Error("a call waited")
		}
	})
}

func TestDriverOpensUnderADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bounded bool
		plane := bmc.NewPlane(bmc.Options{Open: func(ctx context.Context, _ bmc.Target) (bmc.Driver, error) {
			_, bounded = ctx.Deadline()
			return nil, errors.New("no class")
		}})
		plane.Ensure(server, right)
		synctest.Wait()
		if r := plane.Latest(server); !bounded || bmc.ClassOf(r.Err) != bmc.ErrUnreachable {
			t.Errorf("bounded=%v %+v", bounded, r)
		}
		plane.Close()
	})
}
