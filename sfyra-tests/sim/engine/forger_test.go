package engine_test

import (
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// TestForgers: whatever is said in the name of servers breaks no rule, wakes nobody, and changes nothing but lines and the stages that machines tell.
func TestForgers(t *testing.T) {
	forged := 0
	for seed := uint64(1); seed <= 30; seed++ {
		r := engine.Run(seed, engine.Config{Forgers: true})
		if r.Violation != nil {
			t.Fatalf("seed %d: %v", seed, r.Violation)
		}
		r.Counts.Each(func(name string, n int) {
			if strings.HasPrefix(name, "words in the name") {
				forged += n
			}
		})
	}
	if forged < 1000 {
		t.Errorf("control: only %d words were forged", forged)
	}
}

// TestForgersAreSeen: a receiver that believes a word, or wakes somebody by one, is found out.
func TestForgersAreSeen(t *testing.T) {
	for name, hint := range map[string]func(*sightings.Store, string){
		"believes": func(s *sightings.Store, server string) { s.Told(server) },
		"wakes":    func(s *sightings.Store, server string) { s.Again(server) },
		"moves":    func(s *sightings.Store, server string) { s.At(server, []string{"10.66.6.8"}) },
	} {
		r := engine.Run(1, engine.Config{Forgers: true, Sabotage: &engine.Sabotage{Hint: hint}})
		if r.Violation == nil || r.Violation.Invariant != "I14" {
			t.Errorf("a receiver that %s: %v", name, r.Violation)
		}
	}
}
