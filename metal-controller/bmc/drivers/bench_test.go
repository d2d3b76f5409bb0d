//go:build bench

package drivers_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/drivers"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const (
	benchBMCs = 200
	benchDead = benchBMCs * 5 / 100
)

// BenchmarkSweep times a first reading of all healthy BMCs of 200, TLS handshakes and logins included: with none dead,
// which is the floor, and with 5 % that take connections and never answer. The rounds alternate; medians are compared.
// Run it with: go test -tags bench -run '^$' -bench Sweep ./metal-controller/bmc/drivers
func BenchmarkSweep(b *testing.B) {
	faults := &fakebmc.Faults{}
	targets := benchFleet(b, faults)
	var healthy, hurt []time.Duration
	for b.Loop() {
		faults.Set(fakebmc.Fault{})
		healthy = append(healthy, sweep(b, targets))
		faults.Set(fakebmc.Fault{Dead: true})
		hurt = append(hurt, sweep(b, targets))
	}
	none, dead := median(healthy), median(hurt)
	b.ReportMetric(float64(none.Microseconds())/1000, "ms/none-dead")
	b.ReportMetric(float64(dead.Microseconds())/1000, "ms/5%-dead")
	b.ReportMetric(float64(dead)/float64(none), "ratio")
	b.Logf("sweep of %d BMCs: %s with none dead, %s with %d dead, ratio %.2f (median of %d)",
		benchBMCs, none.Round(time.Millisecond), dead.Round(time.Millisecond), benchDead, float64(dead)/float64(none), len(hurt))
}

// benchFleet starts the BMCs; the first of them obey faults.
func benchFleet(b *testing.B, faults *fakebmc.Faults) []bmc.Target {
	var targets []bmc.Target
	for i := range benchBMCs {
		config := fakebmc.Config{Machine: memory.New(machine.Identity{}), Username: "u", Password: "p"}
		if i < benchDead {
			config.Faults = faults
		}
		fake, err := fakebmc.Start(context.Background(), config)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = fake.Close() })
		targets = append(targets, targetOf(b, fake.Addr(), bmc.Redfish))
	}
	return targets
}

// sweep is the time from nothing until every BMC that is never dead has been read.
func sweep(b *testing.B, targets []bmc.Target) time.Duration {
	wake := make(chan string, 64*benchBMCs)
	plane := bmc.NewPlane(bmc.Options{Open: drivers.Open, Interval: time.Hour, Wake: func(server string) { wake <- server }})
	defer plane.Close()
	start := time.Now()
	for i, target := range targets {
		plane.Ensure(fmt.Sprint(i), target)
	}
	missing := map[string]bool{}
	for i := benchDead; i < len(targets); i++ {
		missing[fmt.Sprint(i)] = true
	}
	for len(missing) > 0 {
		server := <-wake
		switch r := plane.Latest(server); {
		case r.Err != nil && missing[server]:
			b.Fatal(r.Err)
		case r.Power == bmc.Off:
			delete(missing, server)
		}
	}
	return time.Since(start)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
