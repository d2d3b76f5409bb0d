package ipmi_test

import (
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/fakebmc/witness"
)

// TestContract runs the contract with each cipher suite, through the fake BMC and its machine.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, suites := range map[string][]uint8{"suite 17": {17}, "suite 3": {3}} {
		t.Run(name, func(t *testing.T) {
			bmctest.RunDriver(t, func(t *testing.T) (bmc.Driver, bmctest.Oracle) {
				l := newLab(t, func(c *rmcp.Config) { c.Suites = suites })
				return l.open(t), witness.New(t, l.bmc, l.machine, l.faults)
			})
		})
	}
}

// TestNoURIs: IPMI has no place for a URI.
func TestNoURIs(t *testing.T) {
	t.Parallel()
	bmctest.RunNoURIs(t, func(t *testing.T, edit func(*bmc.Target)) (bmc.Driver, bmctest.URIOracle) {
		l := newLab(t, nil)
		edit(&l.target)
		return l.open(t), witness.WithMedia(t, l.bmc, l.machine, l.faults)
	})
}
