package sightings_test

import (
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/sightings"
)

// TestAlive: the last word counts, wakes nobody, and is forgotten with its server.
func TestAlive(t *testing.T) {
	c := &clock{epoch}
	s := sightings.New(c.read)
	c.now = epoch.Add(time.Hour)
	if !s.Watched().Equal(epoch) || !s.Alive("srv").IsZero() {
		t.Errorf("at the start: watched %v, alive %v", s.Watched(), s.Alive("srv"))
	}
	s.Hear("srv", epoch.Add(2*time.Second))
	s.Hear("srv", epoch.Add(time.Second)) // two ports may tell in any order
	if !s.Alive("srv").Equal(epoch.Add(2 * time.Second)) {
		t.Errorf("alive %v", s.Alive("srv"))
	}
	if names := s.Drain(); len(names) != 0 {
		t.Errorf("it woke %v", names)
	}
	s.Forget("srv")
	if !s.Alive("srv").IsZero() {
		t.Error("it is remembered of a server that is gone")
	}
}
