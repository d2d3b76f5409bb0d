package redfish_test

import (
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/witness"
)

// TestContract runs the contract with sessions, through the fake BMC and its machine.
func TestContract(t *testing.T) {
	bmctest.RunDriver(t, func(t *testing.T) (bmc.Driver, bmctest.Oracle) {
		l := newLab(t, nil)
		return l.open(t), witness.New(t, l.bmc, l.machine, l.faults)
	})
}

// TestURIContract runs what BMCs are told to boot, with virtual media where managers have them, where systems have them, and the ways of older and pickier BMCs.
func TestURIContract(t *testing.T) {
	for name, c := range map[string]struct {
		atSystem bool
		quirk    fakebmc.Fault
	}{
		"below the manager":       {},
		"below the system":        {atSystem: true},
		"without actions":         {quirk: fakebmc.Fault{MediaByPatch: true}},
		"that wants the protocol": {quirk: fakebmc.Fault{MediaWantsProtocol: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bmctest.RunURIs(t, func(t *testing.T, edit func(*bmc.Target)) (bmc.Driver, bmctest.URIOracle) {
				l := newLab(t, func(config *fakebmc.Config) { config.MediaAtSystem = c.atSystem })
				l.faults.Set(c.quirk)
				edit(&l.target)
				return l.open(t), witness.WithMedia(t, l.bmc, l.machine, l.faults)
			})
		})
	}
}
