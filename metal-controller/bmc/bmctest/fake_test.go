package bmctest_test

import (
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
)

// TestFakeDriver holds the BMC in memory to the contract of the real drivers.
func TestFakeDriver(t *testing.T) {
	bmctest.RunDriver(t, func(t *testing.T) (bmc.Driver, bmctest.Oracle) {
		target := bmc.Target{Host: "bmc", Username: "admin", Password: bmc.NewSecret("right")}
		fake := bmctest.NewBMC(target)
		d, err := fake.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		return d, fake
	})
}

// TestFakeURIs holds it to what BMCs are told to boot.
func TestFakeURIs(t *testing.T) {
	bmctest.RunURIs(t, func(t *testing.T, edit func(*bmc.Target)) (bmc.Driver, bmctest.URIOracle) {
		target := bmc.Target{Host: "bmc", Username: "admin", Password: bmc.NewSecret("right")}
		fake := bmctest.NewBMC(target)
		edit(&target)
		d, err := fake.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		return d, fake
	})
}
