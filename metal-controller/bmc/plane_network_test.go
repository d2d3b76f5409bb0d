package bmc_test

import (
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
)

// TestPowerOnFromNetwork: a host that is off boots from the network once; one that is on is left alone; a BMC that cannot is no reason to stay off.
func TestPowerOnFromNetwork(t *testing.T) {
	for _, tc := range []struct {
		name     string
		on       bool
		verb     bmc.Verb
		behave   bmctest.Behaviour
		override bool
	}{
		{"off", false, bmc.PowerOnFromNetwork, bmctest.Behaviour{}, true},
		{"on", true, bmc.PowerOnFromNetwork, bmctest.Behaviour{}, false},
		{"it ignores the override", false, bmc.PowerOnFromNetwork, bmctest.Behaviour{IgnoreBoot: true}, false},
		{"control: a plain power on sets none", false, bmc.PowerOn, bmctest.Behaviour{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.SetOn(tc.on)
				b.Behave(tc.behave)
				b.plane.Ensure(server, right)
				pass(time.Second)
				b.plane.Submit(server, bmc.Action{ID: "a", Verb: tc.verb})
				pass(5 * time.Minute)
				r := b.latest()
				if !b.On() || r.Power != bmc.On || r.ActionID != "a" || r.ActionErr != nil {
					t.Errorf("on %v, reading %+v", b.On(), r)
				}
				if set, once := b.BootNetwork(); set != tc.override || once != tc.override {
					t.Errorf("network boot set %v, once %v; want %v", set, once, tc.override)
				}
			})
		})
	}
}
