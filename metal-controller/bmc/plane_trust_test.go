package bmc_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
)

// worstWindow is the largest number of times within any ten minutes.
func worstWindow(times []time.Time) int {
	worst := 0
	for i := range times {
		n := 0
		for _, at := range times[i:] {
			if at.Sub(times[i]) < 10*time.Minute {
				n++
			}
		}
		worst = max(worst, n)
	}
	return worst
}

func TestWrongCredentialsLockNobodyOut(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wrong := right
		wrong.Password = bmc.NewSecret("wrong")
		b.plane.Ensure(server, wrong)
		for i := range 120 {
			// A person and a reconciler that are impatient must not matter.
			b.plane.Submit(server, bmc.Action{ID: fmt.Sprint("on", i), Verb: bmc.PowerOn})
			b.plane.Refresh(server)
			b.plane.Ensure(server, wrong)
			pass(time.Minute)
		}
		attempts := b.Attempts()
		if n := worstWindow(attempts); n > 3 || len(attempts) < 10 {
			t.Fatalf("%d attempts in two hours, %d within ten minutes", len(attempts), n)
		}
		if r := b.latest(); !errors.Is(r.Err, bmc.ErrUnauthorized) || r.PinSeen == "" || r.ErrSince.IsZero() {
			t.Fatalf("reading: %+v", r)
		}
		b.plane.Ensure(server, right)
		if r := b.latest(); r.Err != nil || !r.At.Equal(time.Now()) || !r.ErrSince.IsZero() {
			t.Errorf("new credentials were not tried at once: %+v", r)
		}
	})
}

func TestPasswordThatGoesBadIsNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.plane.Ensure(server, right)
		synctest.Wait()
		b.SetCredentials("admin", bmc.NewSecret("rotated"))
		b.DropSessions()
		pass(2 * time.Minute)
		if r := b.latest(); !errors.Is(r.Err, bmc.ErrUnauthorized) || r.Power != bmc.Off {
			t.Fatalf("the BMC has another password: %+v", r)
		}
		tried := len(b.Attempts())
		rotated := right
		rotated.Password = bmc.NewSecret("rotated")
		b.plane.Ensure(server, rotated)
		if r := b.latest(); r.Err != nil || len(b.Attempts()) != tried+1 {
			t.Errorf("%+v after %d attempts more", r, len(b.Attempts())-tried)
		}
	})
}

func TestOtherCertificateGetsNoCredentials(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		pinned := right
		pinned.Pin = "00aa"
		b.plane.Ensure(server, pinned)
		if r := b.latest(); r.Err != nil || len(b.Attempts()) != 1 {
			t.Fatalf("the pinned certificate was refused: %+v", r)
		}
		b.plane.Forget(server)
		synctest.Wait()
		b.SetPin("00bb")
		b.plane.Ensure(server, pinned)
		pass(time.Hour)
		r := b.latest()
		if !errors.Is(r.Err, bmc.ErrCertificateChanged) || r.PinSeen != "00bb" || len(b.Attempts()) != 1 {
			t.Errorf("%+v after %d attempts", r, len(b.Attempts()))
		}
	})
}

func TestDeadBMCIsAskedLessAndLess(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.plane.Ensure(server, right)
		b.latest()
		b.wakes()
		b.Behave(bmctest.Behaviour{Dead: true})
		pass(10 * time.Hour)
		r := b.latest()
		if !errors.Is(r.Err, bmc.ErrUnreachable) || r.Power != bmc.Off || b.wakes() != 1 {
			t.Fatalf("after ten dead hours: %+v", r)
		}
		b.Behave(bmctest.Behaviour{})
		b.plane.Refresh(server)
		pass(9 * time.Minute)
		if r := b.latest(); r.Err != nil || time.Since(r.At) > 9*time.Minute || b.wakes() != 1 {
			t.Errorf("it did not recover: %+v", r)
		}
		if len(b.Attempts()) != 1 {
			t.Errorf("%d logins: the session was given up over silence", len(b.Attempts()))
		}
	})
}

func TestDeadOnesDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 100
		plane, bmcs := fleet(count)
		for i, b := range bmcs {
			b.Behave(bmctest.Behaviour{Dead: i%10 == 0})
			plane.Ensure(fmt.Sprint(i), b.target)
		}
		synctest.Wait()
		for i := range bmcs {
			r := plane.Latest(fmt.Sprint(i))
			if dead := i%10 == 0; dead != r.At.IsZero() || !dead && !r.At.Equal(time.Now()) {
				t.Errorf("BMC %d, dead=%v: %+v", i, dead, r)
			}
		}
		plane.Close()
	})
}
