package bmc

import (
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	const interval = time.Minute
	silent, refused := Fail(ErrUnreachable, "", ""), Fail(ErrUnauthorized, "", "")
	cases := []struct {
		name     string
		outcomes []error
		least    time.Duration
		most     time.Duration
	}{
		{"never asked", nil, 54 * time.Second, 66 * time.Second},
		{"answers", []error{nil}, 54 * time.Second, 66 * time.Second},
		{"silent once", []error{silent}, 10 * time.Second, 15 * time.Second},
		{"silent thrice", []error{silent, silent, silent}, 40 * time.Second, time.Minute},
		{"silent for long", []error{silent, silent, silent, silent, silent, silent, silent, silent}, 5 * time.Minute, 450 * time.Second},
		{"answers again", []error{silent, silent, nil}, 54 * time.Second, 66 * time.Second},
		{"refused twice", []error{refused, refused}, 20 * time.Second, 30 * time.Second},
		{"refused thrice", []error{refused, refused, refused}, 10 * time.Minute, 10 * time.Minute},
		{"refused thrice, silent between", []error{refused, refused, silent, refused}, 10 * time.Minute, 10 * time.Minute},
		{"refused and let in", []error{refused, refused, refused, nil}, 54 * time.Second, 66 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			var p patience
			for _, outcome := range c.outcomes {
				p.note(outcome, now)
			}
			for _, random := range []float64{0, 0.5, 0.999} {
				if d := p.delay(interval, now, random); d < c.least || d > c.most {
					t.Errorf("delay %s with random %v, want %s to %s", d, random, c.least, c.most)
				}
			}
			if locked := p.locked(now.Add(lockoutWindow)); locked != 0 {
				t.Errorf("still locked after ten minutes: %s", locked)
			}
		})
	}
}
