package desk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestClaim: the expected boot is claimed in its window only; every other boot is refused by an accepted Server, and unproven on any other.
func TestClaim(t *testing.T) {
	foreign := expecting(metal.BootBooting)
	foreign.ManagedBy.Installation = "fedcba9876543210fedcba9876543210"
	blank := expecting(metal.BootBooting) // spec.accepted of Git alone: no acceptance is recorded yet
	blank.Acceptance = nil
	for name, c := range map[string]struct {
		record *metal.ServerRecord
		caller lifecycle.Caller
		after  time.Duration
		level  int32
		err    error
	}{
		"control: while it boots":              {record: expecting(metal.BootBooting), caller: owner, level: 1},
		"while it is switched on":              {record: expecting(metal.BootSwitchingOn), caller: owner, err: desk.ErrNotExpected},
		"control: at the deadline":             {record: expecting(metal.BootBooting), caller: owner, after: 10 * time.Minute, level: 1},
		"control: without acceptance":          {record: blank, caller: owner, level: 1},
		"before the machine is off":            {record: expecting(metal.BootSwitchingOff), caller: owner, err: desk.ErrNotExpected},
		"after the deadline":                   {record: expecting(metal.BootBooting), caller: owner, after: 10*time.Minute + time.Second, err: desk.ErrNotExpected},
		"a boot that is void":                  {record: expecting(metal.BootVoid), caller: owner, err: desk.ErrNotExpected},
		"another boot":                         {record: expecting(metal.BootBooting), caller: old, err: desk.ErrNotExpected},
		"no boot id":                           {record: expecting(metal.BootBooting), caller: lifecycle.Caller{Key: keyA}, err: desk.ErrNotExpected},
		"no key":                               {record: expecting(metal.BootBooting), caller: lifecycle.Caller{BootID: "b1"}, err: desk.ErrNotExpected},
		"another installation's":               {record: foreign, caller: owner, err: desk.ErrForeign},
		"another boot, without acceptance":     {record: blank, caller: old},
		"any boot of a Server without record":  {caller: old},
		"a claimed boot by its claimant again": {record: expecting(metal.BootClaimed), caller: owner, level: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.record)
			w.now = w.now.Add(c.after)
			level, err := w.Claim(t.Context(), w.name, c.caller)
			if level != c.level || !errors.Is(err, c.err) {
				t.Errorf("level %d, %v; want %d, %v", level, err, c.level, c.err)
			}
			r := w.server().Spec.Record
			if claimed := r != nil && r.Boot != nil && r.Boot.Phase == metal.BootClaimed && r.Boot.Claimant == c.caller.Key; claimed != (c.level == 1) {
				t.Errorf("the record holds %+v", r)
			}
			if c.level == 0 && r != nil && c.record != nil && r.Boot.Phase != c.record.Boot.Phase {
				t.Errorf("a refusal wrote %+v", r.Boot)
			}
		})
	}
	w := newWorld(t, nil)
	if _, err := w.Claim(t.Context(), "nobody", owner); !errors.Is(err, desk.ErrGone) {
		t.Errorf("a Server that is not there: %v", err)
	}
}

// TestAstray: an agent that enrols for a server whose system is installed is a sign that its machine does not run that system; for any other it is none.
func TestAstray(t *testing.T) {
	for installed, signs := range map[bool]int{true: 1, false: 0} {
		record := expecting(metal.BootVoid)
		if installed {
			record.Installed = &metal.InstalledRecord{BootID: "b0", BindingID: "binding", At: metav1.Now()}
		}
		w := newWorld(t, record)
		if _, err := w.Claim(t.Context(), w.name, old); !errors.Is(err, desk.ErrNotExpected) {
			t.Fatalf("installed %v: %v", installed, err)
		}
		if n := w.Sightings.LocalBoots(w.name, time.Hour); n != signs {
			t.Errorf("installed %v: %d signs, want %d", installed, n, signs)
		}
	}
}

// TestSecondClaimant: the boot is void for both from then on, whatever either of them does, and an event says so once.
func TestSecondClaimant(t *testing.T) {
	w := newWorld(t, expecting(metal.BootBooting))
	for range 2 {
		if level, err := w.Claim(t.Context(), w.name, owner); level != 1 || err != nil {
			t.Fatalf("control: %d, %v", level, err)
		}
	}
	if err := w.Inventory(t.Context(), owner, w.name, hardware()); err != nil {
		t.Fatalf("control: %v", err)
	}
	if level, err := w.Claim(t.Context(), w.name, thief); level != 0 || !errors.Is(err, desk.ErrVoided) {
		t.Errorf("the second claimant: %d, %v", level, err)
	}
	if b := w.server().Spec.Record.Boot; b.Phase != metal.BootVoid || b.Reason != reasons.BootVoided {
		t.Errorf("the boot is %+v", b)
	}
	w.unchanged("afterwards", func() {
		for _, c := range []lifecycle.Caller{owner, thief} {
			if _, err := w.Claim(t.Context(), w.name, c); !errors.Is(err, desk.ErrNotExpected) {
				t.Errorf("claiming again: %v", err)
			}
			if err := w.Admit(t.Context(), c, w.name); !errors.Is(err, desk.ErrNotBelieved) {
				t.Errorf("calling: %v", err)
			}
			if err := w.Inventory(t.Context(), c, w.name, hardware()); !errors.Is(err, desk.ErrNotBelieved) {
				t.Errorf("reporting: %v", err)
			}
			if task, err := w.Task(t.Context(), c, w.name); task.Kind != lifecycle.TaskDenied || err != nil {
				t.Errorf("asking for a task: %+v, %v", task, err)
			}
		}
	})
	if want := []string{w.name + " Warning " + reasons.IdentityConflict}; !slices.Equal(w.events, want) {
		t.Errorf("events %q, want %q", w.events, want)
	}
}

// TestClaimants: of two that claim at the same moment, never both are let in and believed.
func TestClaimants(t *testing.T) {
	w := newWorld(t, expecting(metal.BootBooting))
	var wg sync.WaitGroup
	var mu sync.Mutex
	voided := 0
	for _, c := range []lifecycle.Caller{owner, thief} {
		wg.Go(func() {
			_, err := w.Claim(t.Context(), w.name, c)
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, desk.ErrVoided) {
				voided++
			} else if err != nil {
				t.Errorf("claiming: %v", err)
			}
		})
	}
	wg.Wait()
	if b := w.server().Spec.Record.Boot; voided != 1 || b.Phase != metal.BootVoid {
		t.Errorf("%d were refused, and the boot is %+v", voided, b)
	}
}

// TestManyClaimants (T33): of many that claim one boot at the same moment, round after round, one is let in at most, and no one is believed afterwards. Alone, one is.
func TestManyClaimants(t *testing.T) {
	w := newWorld(t, expecting(metal.BootBooting))
	for round, many := range []int{1, 2, 16, 64, 1, 64, 16, 2} {
		w.edit(func(r *metal.ServerRecord) { r.Boot = expecting(metal.BootBooting).Boot })
		var wg sync.WaitGroup
		var mu sync.Mutex
		var let []lifecycle.Caller
		for i := range many {
			wg.Go(func() {
				c := lifecycle.Caller{BootID: "b1", Key: fmt.Sprintf("%064x", i+1)}
				if level, err := w.Claim(t.Context(), w.name, c); err == nil && level == 1 {
					mu.Lock()
					defer mu.Unlock()
					let = append(let, c)
				}
			})
		}
		wg.Wait()
		if len(let) > 1 || many == 1 && len(let) != 1 {
			t.Errorf("round %d: %d of %d were let in", round, len(let), many)
		}
		for _, c := range let {
			if err := w.Admit(t.Context(), c, w.name); (err == nil) != (many == 1) {
				t.Errorf("round %d: whoever was let in of %d: %v", round, many, err)
			}
		}
	}
}

// racing lets somebody else write between the desk's read and its write.
type racing struct {
	client.Client
	before func(try int)
	tries  int
}

func (r *racing) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	r.tries++
	r.before(r.tries)
	return r.Client.Patch(ctx, o, p, opts...)
}

// TestLostRace: whoever loses a race judges what is there now, and gives up after a few.
func TestLostRace(t *testing.T) {
	w := newWorld(t, expecting(metal.BootBooting))
	really := w.Client
	r := &racing{Client: really}
	other := *w.Desk
	r.before = func(try int) {
		if try == 1 {
			if _, err := other.Claim(t.Context(), w.name, thief); err != nil {
				t.Error(err)
			}
		}
	}
	w.Client = r
	if level, err := w.Claim(t.Context(), w.name, owner); level != 0 || !errors.Is(err, desk.ErrVoided) || r.tries != 2 {
		t.Errorf("after losing to another claimant: %d, %v in %d tries", level, err, r.tries)
	}
	w.Client = really
	w.edit(func(rec *metal.ServerRecord) { rec.Boot = expecting(metal.BootBooting).Boot })
	r.tries, r.before = 0, func(try int) {
		w.edit(func(rec *metal.ServerRecord) { rec.Boot.Attempt = int32(try) })
	}
	busy := *w.Desk
	busy.Client = r
	if _, err := busy.Claim(t.Context(), w.name, owner); err == nil || r.tries > 10 {
		t.Errorf("with a writer that never rests: %v in %d tries", err, r.tries)
	}
	if level, err := w.Claim(t.Context(), w.name, owner); level != 1 || err != nil {
		t.Errorf("control: %d, %v", level, err)
	}
}

// TestVoid: a second address ends the boot that is live, and no other.
func TestVoid(t *testing.T) {
	for phase, live := range map[metal.BootPhase]bool{
		metal.BootSwitchingOff: false, metal.BootSwitchingOn: true, metal.BootBooting: true, metal.BootClaimed: true, metal.BootVoid: false,
	} {
		w := newWorld(t, expecting(phase))
		w.unchanged("another boot of "+string(phase), func() {
			for _, id := range []string{"", "b0", "B1"} {
				if err := w.Void(t.Context(), w.name, id); err != nil {
					t.Errorf("another boot: %v", err)
				}
			}
			if err := w.Void(t.Context(), "nobody", "b1"); err != nil {
				t.Errorf("another Server: %v", err)
			}
		})
		for range 2 { // a pxe-server reports again until it is answered
			if err := w.Void(t.Context(), w.name, "b1"); err != nil {
				t.Errorf("%s: %v", phase, err)
			}
		}
		b := w.server().Spec.Record.Boot
		if live != (b.Reason == reasons.BootVoided) || live && b.Phase != metal.BootVoid || !live && b.Phase != phase {
			t.Errorf("%s became %+v", phase, b)
		}
		if live != (len(w.events) == 1) {
			t.Errorf("%s: events %q", phase, w.events)
		}
	}
}
