package sightings_test

import (
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/sightings"
)

// TestWorkload: what tells of life starts the count of local boots anew, and wakes only when it is news.
func TestWorkload(t *testing.T) {
	c := &clock{epoch}
	s := sightings.New(c.read)
	if !s.Alive("srv").IsZero() || s.LocalBoots("srv") != 0 || !s.Watched().Equal(epoch) {
		t.Error("something is known from the start")
	}
	woken := func() bool { return len(s.Drain()) == 1 }
	for i, step := range []struct {
		do    func()
		woken bool
		boots int
	}{
		{func() { s.Told("srv", epoch) }, true, 0},
		{func() { s.Told("srv", epoch.Add(10*time.Second)) }, false, 0},
		{func() { s.LocalBoot("srv") }, true, 1},
		{func() { s.LocalBoot("srv") }, true, 2},
		{func() { s.Told("srv", epoch.Add(20*time.Second)) }, true, 0},
		{func() { s.Told("srv", epoch.Add(81*time.Second)) }, true, 0},
	} {
		step.do()
		if got := woken(); got != step.woken || s.LocalBoots("srv") != step.boots {
			t.Errorf("step %d: woken %v, %d local boots", i, got, s.LocalBoots("srv"))
		}
	}
	if at := s.Alive("srv"); !at.Equal(epoch.Add(81 * time.Second)) {
		t.Errorf("alive at %s", at)
	}
	for range 200 {
		s.LocalBoot("srv")
	}
	if n := s.LocalBoots("srv"); n != 100 {
		t.Errorf("%d local boots are counted", n)
	}
}
