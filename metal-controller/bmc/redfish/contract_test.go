package redfish_test

import (
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
	"ingot.dev/ingot/sfyra-tests/fakebmc/witness"
)

// TestContract runs the contract with sessions, through the fake BMC and its machine.
func TestContract(t *testing.T) {
	bmctest.RunDriver(t, func(t *testing.T) (bmc.Driver, bmctest.Oracle) {
		l := newLab(t, nil)
		return l.open(t), witness.New(t, l.bmc, l.machine, l.faults)
	})
}
