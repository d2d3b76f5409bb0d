//go:build e2e && bench

package scenarios

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/bench/timeline"
	"ingot.dev/ingot/sfyra-tests/rack"
)

const (
	// benchRounds is how often each way is measured, its floor right after it.
	benchRounds = 2
	// leastNamed is the share of a way's time that Ingot's own record has to explain.
	leastNamed = 0.95
	// benchOS is what the test OS is told, with Ingot and without.
	benchOS = "everySeconds: 5\n"
)

// took is one way or its floor. firmware is the part of it that only the machine's firmware ran, as its console shows.
type took struct{ whole, firmware time.Duration }

// TestBenchBoot measures power-on → Available and claim → Running, beside the same kernels booted by QEMU itself on the same hardware. What the time went to
// is what Ingot recorded of it.
func TestBenchBoot(t *testing.T) {
	agent, system := direct(small("fa", 0x91)), direct(small("fo", 0x92))
	specs := []rack.Spec{agent, system}
	for i := range benchRounds {
		specs = append(specs, small(path(i), byte(0xa1+i)))
	}
	c := newCluster(t, specs...)
	c.offer("testos")
	c.open(class, "testos", metal.Requirements{})
	for i := range benchRounds {
		load, _ := os.ReadFile("/proc/loadavg")
		fmt.Printf("round %d, load %s", i+1, load)
		available, wipe, pause := c.toAvailable(path(i))
		floor := c.agentAlone(path(i), agent.Direct)
		fmt.Printf("  the floor: inventory %.1f s after power-on, and the %.1f s of the wipe above\n", floor.whole.Seconds(), wipe.Seconds())
		floor.whole += wipe
		compare("power-on to Available", available, floor, pause)
		running := c.toRunning(path(i))
		compare("claim to Running", running, c.systemAlone(fmt.Sprintf("%s:%d", c.host(), 17445+i), system.Direct), 0)
	}
}

// path is the name of the server that Ingot runs in a round.
func path(round int) string { return fmt.Sprintf("p%d", round+1) }

// direct gives a server a kernel of QEMU's own, which is named later.
func direct(s rack.Spec) rack.Spec {
	s.Direct = &rack.Direct{}
	return s
}

// compare prints what the bench is for. pause is what of the way Ingot waited on purpose.
func compare(what string, way, floor took, pause time.Duration) {
	ratio := func(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }
	fmt.Printf("%s: %.1f s, floor %.1f s, ratio %.2f\n", what, way.whole.Seconds(), floor.whole.Seconds(), ratio(way.whole, floor.whole))
	ours, theirs := way.whole-way.firmware, floor.whole-floor.firmware
	fmt.Printf("  firmware: %.1f s of it, %.1f s of the floor; without that %.1f s and %.1f s, ratio %.2f\n",
		way.firmware.Seconds(), floor.firmware.Seconds(), ours.Seconds(), theirs.Seconds(), ratio(ours, theirs))
	if pause > 0 {
		fmt.Printf("  and without the %.1f s that Ingot waits on purpose: %.1f s, ratio %.2f\n", pause.Seconds(), (ours - pause).Seconds(), ratio(ours-pause, theirs))
	}
}

// toAvailable lets Ingot take a server that was never seen. The way begins when QEMU does; wipe and pause are parts of it.
func (c *cluster) toAvailable(name string) (way took, wipe, pause time.Duration) {
	c.t.Helper()
	c.declare(name)
	c.awaitServer(name, "its BMC reads off", bootLimit, func(v *metal.Server) bool { return v.Status.Power != nil && v.Status.Power.State == metal.PowerOff })
	seen := c.watch(name, iPXEStarts)
	c.ingot("accept", name, "--wipe-data", "--yes")
	on := c.switchedOn(name)
	v := c.awaitServer(name, "it is Available", wipeLimit, available)
	all := timeline.Within(c.recorded(v, v.Spec.Record.Wipe.BootID), on, time.Now())
	c.explain("power-on to Available", all)
	sum := func(names ...string) time.Duration {
		return timeline.Sum(all, func(s timeline.Stretch) bool { return slices.Contains(names, s.Name) })
	}
	return took{whole(all), seen()[0].Sub(on)}, sum(timeline.WipeBegins, timeline.Wipe), sum(timeline.SecondClaimant)
}

// toRunning claims the server, and switches it off in the end. The way begins when the claim is made.
func (c *cluster) toRunning(name string) took {
	c.t.Helper()
	seen := c.watch(name, iPXEStarts, osInstalled, iPXEStarts, leavesToFirmware, loadsFromDisk)
	from := time.Now()
	c.claim(name, class, benchOS)
	on := c.switchedOn(name)
	c.awaitRunning(name)
	to := time.Now()
	v := c.awaitServer(name, "its timeline has its end", bootLimit, func(v *metal.Server) bool {
		b := boot(v, v.Spec.Record.Installed.BootID)
		return b != nil && slices.ContainsFunc(b.Stages, func(s metal.BootStage) bool { return s.Stage == metal.StageRunning })
	})
	all := timeline.Within(append(c.binding(name, v), c.recorded(v, v.Spec.Record.Installed.BootID)...), from, to)
	c.explain("claim to Running", all)
	m := seen()
	c.switchOff(name)
	return took{whole(all), m[0].Sub(on) + m[2].Sub(m[1]) + m[4].Sub(m[3])}
}

// binding is the time from the claim to the order that follows it, if the record says that the two sides were bound in it.
func (c *cluster) binding(name string, v *metal.Server) []timeline.Stretch {
	c.t.Helper()
	b := boot(v, v.Spec.Record.Installed.BootID)
	bound, made := v.Spec.Record.Claim.BoundAt, c.look(name).CreationTimestamp.Time
	if b == nil || len(b.Stages) == 0 || bound == nil || bound.Time.Before(made) || bound.After(b.Stages[0].At.Time) {
		return nil
	}
	return []timeline.Stretch{{Name: "the claim is bound to a server", From: made, To: b.Stages[0].At.Time}}
}

// boot is the timeline of one boot, as the Server's status has it; nil when it has none.
func boot(v *metal.Server, id string) *metal.BootTimeline {
	for i := range v.Status.Boots {
		if v.Status.Boots[i].ID == id {
			return &v.Status.Boots[i]
		}
	}
	return nil
}

func (c *cluster) recorded(v *metal.Server, id string) []timeline.Stretch {
	c.t.Helper()
	b := boot(v, id)
	if b == nil {
		c.t.Fatalf("%s shows no timeline of the boot %s", v.Name, id)
	}
	return timeline.Of(b.Stages)
}

// explain prints where the time went. Time without a name is a defect of Ingot's record.
func (c *cluster) explain(what string, all []timeline.Stretch) {
	c.t.Helper()
	for _, s := range all {
		name := s.Name
		if name == "" {
			name = "(no name)"
		}
		fmt.Printf("  %6.1f s  %s\n", s.Length().Seconds(), name)
	}
	named := 100 * timeline.Named(all)
	fmt.Printf("  %6.1f %%  of it has a name\n", named)
	if named < 100*leastNamed {
		c.t.Errorf("%s: %.1f %% of the time has a name, want %.0f %%", what, named, 100*leastNamed)
	}
}

func whole(all []timeline.Stretch) time.Duration {
	return timeline.Sum(all, func(timeline.Stretch) bool { return true })
}
