package bmc_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
)

// member is one BMC of a fleet with the target that reaches it.
type member struct {
	*bmctest.BMC
	target bmc.Target
}

// fleet makes a plane over many BMCs, found by host.
func fleet(count int) (*bmc.Plane, []member) {
	byHost := map[string]*bmctest.BMC{}
	var members []member
	for i := range count {
		target := right
		target.Host = fmt.Sprint("bmc", i)
		m := member{BMC: bmctest.NewBMC(target), target: target}
		byHost[target.Host] = m.BMC
		members = append(members, m)
	}
	return bmc.NewPlane(bmc.Options{Open: func(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
		return byHost[target.Host].Open(ctx, target)
	}}), members
}

func TestChangedTargetMovesTheSessionAndTheAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane, bmcs := fleet(2)
		plane.Ensure(server, bmcs[0].target)
		synctest.Wait()
		bmcs[0].Behave(bmctest.Behaviour{Dead: true})
		plane.Submit(server, bmc.Action{ID: "on", Verb: bmc.PowerOn})
		pass(10 * time.Second) // it hangs in the call to the first
		bmcs[1].SetPin("00bb")
		plane.Ensure(server, bmcs[1].target)
		synctest.Wait()
		r := plane.Latest(server)
		if r.Power != bmc.On || r.ActionID != "on" || r.PinSeen != "00bb" || bmcs[0].Orders() != 0 || bmcs[1].Orders() != 1 {
			t.Errorf("%+v; orders %d and %d", r, bmcs[0].Orders(), bmcs[1].Orders())
		}
		if bmcs[0].Sessions() != 0 || bmcs[1].Sessions() != 1 {
			t.Errorf("sessions %d and %d", bmcs[0].Sessions(), bmcs[1].Sessions())
		}
		plane.Close()
	})
}

func TestAnotherMachineDoesNotInheritItsPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane, bmcs := fleet(2)
		bmcs[0].SetOn(true)
		plane.Ensure(server, bmcs[0].target)
		synctest.Wait()
		same := bmcs[0].target
		same.Pin = "00aa"
		plane.Ensure(server, same)
		if r := plane.Latest(server); r.Power != bmc.On {
			t.Errorf("pinning lost the reading: %+v", r)
		}
		bmcs[1].Behave(bmctest.Behaviour{Dead: true})
		plane.Ensure(server, bmcs[1].target)
		if r := plane.Latest(server); r.Power != bmc.Unknown || !r.At.IsZero() || r.PinSeen != "" {
			t.Errorf("another BMC has the reading of the first: %+v", r)
		}
		plane.Close()
	})
}

func TestForgetEndsTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		for range 5 {
			b.plane.Ensure(server, right)
			synctest.Wait()
			if b.Sessions() != 1 {
				t.Fatal("no session is open")
			}
			b.plane.Forget(server)
			b.plane.Ensure(server, right) // at once: the old session must end first
			synctest.Wait()
			b.plane.Forget(server)
			synctest.Wait()
			if b.Sessions() != 0 || b.plane.Latest(server).Power != bmc.Unknown {
				t.Fatal("forgotten and still there")
			}
		}
	})
}

// TestAnySequence draws sequences of calls, faults and waits and checks what must hold after each: at most one session
// per BMC, no lock-out, and, once the BMC is honest and the credentials are right, the last action done.
func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 40).Draw(rt, "steps")
		var problem string
		synctest.Test(t, func(*testing.T) { problem = runSequence(steps) })
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func runSequence(steps []int) string {
	b := bmctest.NewBMC(right)
	plane := bmc.NewPlane(bmc.Options{Open: b.Open})
	defer plane.Close()
	for i, step := range steps {
		sequenceStep(plane, b, i, step)
		synctest.Wait()
		if b.MostSessions() > 1 {
			return fmt.Sprintf("step %d: %d sessions at once", i, b.MostSessions())
		}
	}
	b.Behave(bmctest.Behaviour{})
	pass(15 * time.Minute)
	plane.Ensure(server, right)
	plane.Submit(server, bmc.Action{ID: "last", Verb: bmc.PowerOn})
	pass(15 * time.Minute)
	r := plane.Latest(server)
	if r.ActionID != "last" || r.ActionErr != nil || r.Power != bmc.On || !b.On() || r.Err != nil {
		return fmt.Sprintf("in the end: %+v", r)
	}
	plane.Forget(server)
	synctest.Wait()
	if b.Sessions() != 0 {
		return fmt.Sprintf("%d sessions are left", b.Sessions())
	}
	return ""
}

func sequenceStep(plane *bmc.Plane, b *bmctest.BMC, i, step int) {
	wrong := right
	wrong.Password = bmc.NewSecret("wrong")
	switch step {
	case 0:
		plane.Ensure(server, right)
	case 1:
		plane.Ensure(server, wrong)
	case 2:
		plane.Forget(server)
	case 3:
		plane.Submit(server, bmc.Action{ID: fmt.Sprint(i), Verb: bmc.PowerOff})
	case 4:
		plane.Submit(server, bmc.Action{ID: fmt.Sprint(i), Verb: bmc.BootNetworkOnce})
	case 5:
		b.Behave(bmctest.Behaviour{Dead: true})
	case 6:
		b.Behave(bmctest.Behaviour{IgnorePower: true, IgnoreBoot: true})
	case 7:
		b.Behave(bmctest.Behaviour{})
	case 8:
		b.DropSessions()
	case 9:
		pass(time.Minute)
	}
}
