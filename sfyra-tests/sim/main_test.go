package main

import (
	"strings"
	"testing"

	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// seeds is how many runs a test makes; `make sim` makes many more.
const seeds = 200

// TestSeeds: no rule breaks in many runs, and what makes them worth something happened.
func TestSeeds(t *testing.T) {
	var out strings.Builder
	if ok, err := run(options{first: 1, seeds: seeds, workers: 2, full: true}, &out); err != nil || !ok {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, name := range []string{" replicas crashed", " wipes verified", " impostors", " restores", " two leaders", " servers Available at the end"} {
		if strings.Contains(out.String(), "         0"+name) || !strings.Contains(out.String(), name) {
			t.Errorf("%s: never happened", name)
		}
	}
}

// history are seeds that once broke a rule, with what was wrong. Whoever changes the models may lose a story; the rule is what stays.
var history = []struct {
	seed uint64
	was  string
}{
	{28, "a BMC that lied once was never tried again"},
	{62, "a good receipt of a void boot hid what the server really waited for"},
	{94, "what an impostor said of a disk was believed of the machine's next boot"},
	{104, "a receipt of another boot hid that a disk with data needs a person"},
	{113, "a boot was claimed before the machine was on, and off was then taken for the proof"},
	{124, "a grant of a clock that ran ahead voided every boot after it"},
	{184, "a stranger's receipt was proven by a machine that was off all along"},
	{263, "a receipt from a clock that ran ahead was waited for all day"},
	{299, "a dropped power request from a clock that ran ahead undid each proof, and the disks were wiped again and again"},
	{1187, "an order outlived its leader"},
}

// TestHistory: what was found stays found.
func TestHistory(t *testing.T) {
	for _, h := range history {
		if r := engine.Run(h.seed, engine.Config{}); r.Violation != nil {
			t.Errorf("seed %d (once: %s): %v", h.seed, h.was, r.Violation)
		}
	}
}

// TestFailures: the command says what broke, and fails. Control: the same seeds of the true product pass.
func TestFailures(t *testing.T) {
	broken := &engine.Sabotage{Inventory: blank}
	var out strings.Builder
	c := options{first: 1, seeds: 4, workers: 2, full: true}
	if many(c, engine.Config{Sabotage: broken}, &out) {
		t.Errorf("nobody noticed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "breaks I1") {
		t.Errorf("it does not say what broke:\n%s", out.String())
	}
	if !many(c, engine.Config{}, &out) {
		t.Errorf("control: it fails anyway:\n%s", out.String())
	}
}

// TestOne: one seed tells its story when it is asked to.
func TestOne(t *testing.T) {
	var quiet, loud strings.Builder
	if ok, err := run(options{seed: 7}, &quiet); !ok || err != nil || strings.Count(quiet.String(), "\n") != 1 {
		t.Errorf("%v %v\n%s", ok, err, quiet.String())
	}
	if ok, err := run(options{seed: 7, trace: true}, &loud); !ok || err != nil || strings.Count(loud.String(), "\n") < 50 {
		t.Errorf("%v %v\n%s", ok, err, loud.String())
	}
	if _, err := run(options{seed: 7, disable: "earthquake"}, &loud); err == nil {
		t.Error("an unknown kind is taken")
	}
}
