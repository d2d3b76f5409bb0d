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
	if !s.Alive("srv").IsZero() || s.LocalBoots("srv", time.Hour) != 0 || !s.Watched().Equal(epoch) {
		t.Error("something is known from the start")
	}
	woken := func() bool { return len(s.Drain()) == 1 }
	for i, step := range []struct {
		do    func()
		woken bool
		boots int
	}{
		{func() { s.Told("srv") }, true, 0},
		{func() { c.now = epoch.Add(10 * time.Second); s.Told("srv") }, false, 0},
		{func() { s.LocalBoot("srv") }, true, 1},
		{func() { s.LocalBoot("srv") }, true, 2},
		{func() { c.now = epoch.Add(20 * time.Second); s.Told("srv") }, true, 0},
		{func() { c.now = epoch.Add(81 * time.Second); s.Told("srv") }, true, 0},
	} {
		step.do()
		if got := woken(); got != step.woken || s.LocalBoots("srv", time.Hour) != step.boots {
			t.Errorf("step %d: woken %v, %d local boots", i, got, s.LocalBoots("srv", time.Hour))
		}
	}
	c.now = epoch.Add(90 * time.Second)
	if at := s.Alive("srv"); !at.Equal(epoch.Add(81*time.Second)) || s.Since(at) != 9*time.Second {
		t.Errorf("alive at %s, %s ago", at, s.Since(at))
	}
	for range 200 {
		s.LocalBoot("srv")
	}
	if n := s.LocalBoots("srv", time.Hour); n != 8 {
		t.Errorf("%d local boots are counted", n)
	}
}

// TestWatch: who begins to judge silence has not listened before.
func TestWatch(t *testing.T) {
	c := &clock{epoch}
	s := sightings.New(c.read)
	c.now = epoch.Add(time.Hour)
	if !s.Watched().Equal(epoch) {
		t.Errorf("control: watched since %s", s.Watched())
	}
	s.Watch()
	if !s.Watched().Equal(c.now) {
		t.Errorf("watched since %s", s.Watched())
	}
}

// TestLocalBootsBefore: a machine that asked for its disk before a system was installed on it says nothing of that system.
func TestLocalBootsBefore(t *testing.T) {
	c := &clock{epoch}
	s := sightings.New(c.read)
	s.LocalBoot("srv")
	installed := epoch.Add(time.Minute)
	c.now = installed
	if n := s.LocalBoots("srv", c.now.Sub(installed)); n != 0 {
		t.Errorf("%d boots from before", n)
	}
	c.now = epoch.Add(2 * time.Minute)
	s.LocalBoot("srv")
	if n, all := s.LocalBoots("srv", c.now.Sub(installed)), s.LocalBoots("srv", time.Hour); n != 1 || all != 2 {
		t.Errorf("control: %d boots since, %d at all", n, all)
	}
}
