package server_test

import (
	"testing"

	"ingot.dev/ingot/metal-controller/reconcilers/server"
)

// TestLimit: what the flag says, for so many accepted servers.
func TestLimit(t *testing.T) {
	for _, c := range []struct {
		text           string
		accepted, want int
	}{
		{"", 0, 5},
		{"", 59, 5},
		{"", 60, 6},
		{"", 5000, 500}, // rule 6: 5 or 10 %, whichever is larger
		{"7", 1000, 7},
		{"0", 1000, 0},
		{"0%", 1000, 0},
		{"20%", 1000, 200},
		{"20%", 3, 1},
		{"100%", 8, 8},
		{"1%", 0, 1},
	} {
		l, err := server.ParseLimit(c.text)
		if got := l.Of(c.accepted); err != nil || got != c.want {
			t.Errorf("%q of %d: %d, %v; want %d", c.text, c.accepted, got, err, c.want)
		}
	}
	for _, text := range []string{"-1", "+1", "101%", "%", "5 %", "many", "1e3", "99999999999"} {
		if l, err := server.ParseLimit(text); err == nil {
			t.Errorf("%q is taken as %+v", text, l)
		}
	}
}
