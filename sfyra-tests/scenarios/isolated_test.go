//go:build e2e

package scenarios

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// cutLimit is how long a pxe-server may take to notice that its line is cut, or mended: 20 seconds of silence; half a minute between tries.
const cutLimit = 90 * time.Second

// TestSiteIsolated: the line between a site and its controllers is cut. A server with a system boots it from its disk; one that somebody accepts meanwhile gets
// nothing, not even when the site's pxe-server is killed and begins anew. When the line is mended it is wiped by itself.
func TestSiteIsolated(t *testing.T) {
	blank := small("i1", 0xa1)
	marks := small("i2", 0xa2)
	marks.Disks[0].Fill = marked
	c, outposts := newOutposts(t, 1, blank, marks)
	o, own, agents := outposts[0], c.images("i2", 1), 0
	c.offer("testos")
	c.open(class, "testos", metal.Requirements{})
	c.register("i1", "i2") // not in a step: their BMCs live as long as the test that declares them
	c.step("connected", func(t *testing.T) {
		for _, name := range []string{"i1", "i2"} {
			if err := c.patch(name, `{"spec":{"location":{"site":"`+siteName+`"}}}`); err != nil {
				t.Fatal(err)
			}
		}
		c.ingot("power", "off", "i2")
		c.claim("db", class, "everySeconds: 5\nmarks: true\n")
		c.ingot("accept", "i1", "--wipe-data", "--yes")
		c.awaitRunningAfterWipe("db")
		c.await(bootLimit, "the system runs from its disk", func() bool { return c.runsFromDisk("i1") == 1 })
		c.await(bootLimit, "all was told", func() bool { return strings.Contains(o.get("/metrics"), "ingot_pxe_boot_events_waiting 0\n") })
	})
	c.step("isolated", func(t *testing.T) {
		agents = o.decided(c.machine("i2").Identity().MACs[0], "Agent")
		o.cut(true)
		c.await(cutLimit, "the pxe-server notices", func() bool { return strings.HasPrefix(o.get("/readyz"), "isolated: ") })
		c.ingot("accept", "i2", "--wipe-data", "--yes")
		c.restart(t, "i1")
		c.await(2*bootLimit, "the system runs from its disk again", func() bool { return c.runsFromDisk("i1") == 2 })
		c.awaitServer("i2", "Ingot restarts it, to wipe it", bootLimit, func(v *metal.Server) bool {
			r := v.Spec.Record
			return r != nil && r.Boot != nil && r.Boot.Phase == metal.BootBooting
		})
		c.await(2*bootLimit, "the other one waits", func() bool { return c.waits(o, "i2") > 0 })
		c.beganNothing(t, o, agents, own...)
	})
	c.step("begun anew while it is isolated", func(t *testing.T) {
		waited := c.waits(o, "i2")
		o.stop(syscall.SIGKILL)
		o.start()
		if body := o.get("/readyz"); !strings.HasPrefix(body, "isolated: ") || o.said("begun with what the controller said before") != 1 {
			t.Errorf("it says of itself: %s", body)
		}
		c.await(2*bootLimit, "the machine comes back to it", func() bool { return c.waits(o, "i2") > waited })
		c.restart(t, "i1")
		c.await(2*bootLimit, "the system runs from its disk a third time", func() bool { return c.runsFromDisk("i1") == 3 })
		c.beganNothing(t, o, agents, own...)
		if text := o.get("/metrics"); !strings.Contains(text, "ingot_pxe_controller_connected 0\n") || strings.Contains(text, "ingot_pxe_boot_events_waiting 0\n") {
			t.Errorf("what a monitor reads:\n%s", text)
		}
	})
	c.step("mended", func(t *testing.T) {
		o.cut(false)
		c.await(cutLimit, "the controller is heard again", func() bool { return o.said("no longer isolated") == 1 && o.get("/readyz") == "ok\n" })
		c.await(bootLimit, "all was told", func() bool { return strings.Contains(o.get("/metrics"), "ingot_pxe_boot_events_waiting 0\n") })
		c.awaitServer("i2", "it is wiped by itself", 2*wipeLimit, available)
		wantMarks(t, false, own...)
		if v := c.awaitRunning("db"); of(v, reasons.Provisioned) == reasons.DiskBootFailed {
			t.Errorf("the server whose restarts were told late is taken for one that does not boot: %+v", v.Status.Conditions)
		}
		if n := c.runsFromDisk("i1"); n != 3 {
			t.Errorf("the system was started %d times, want 3: nobody but the test restarts it", n)
		}
	})
}

// restart presses the reset button.
func (c *cluster) restart(t *testing.T, name string) {
	t.Helper()
	if err := c.machine(name).Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// runsFromDisk counts the starts of the test OS from a disk.
func (c *cluster) runsFromDisk(name string) int {
	return strings.Count(c.serial(name), "testos: running server="+name+" from disk")
}

// waits counts the scripts that let a machine wait.
func (c *cluster) waits(o *outpost, name string) int {
	return o.decided(c.machine(name).Identity().MACs[0], "Idle")
}

// beganNothing checks that an isolated pxe-server began nothing, by its own word and by that of the disks.
func (c *cluster) beganNothing(t *testing.T, o *outpost, agents int, images ...string) {
	t.Helper()
	mac := c.machine("i2").Identity().MACs[0]
	if n, systems := o.decided(mac, "Agent"), o.decided(mac, "OS"); agents == 0 || n != agents || systems != 0 {
		t.Errorf("the agent was booted %d times, and %d times before the line was cut; a system %d times", n, agents, systems)
	}
	wantMarks(t, true, images...)
}

// TestReplicaKilledMidBoot: two pxe-servers serve one switch. The one that a machine boots from is killed while the machine loads the agent, and the machine goes
// on with the other.
func TestReplicaKilledMidBoot(t *testing.T) {
	c, outposts := newOutposts(t, 2, small("k1", 0xa3))
	c.declare("k1")
	c.ingot("power", "on", "k1")
	mac := c.machine("k1").Identity().MACs[0]
	served := func(o *outpost) bool { return o.decided(mac, "Agent") > 0 }
	c.await(bootLimit, "one of them boots the agent", func() bool { return slices.ContainsFunc(outposts, served) })
	first := slices.IndexFunc(outposts, served)
	outposts[first].stop(syscall.SIGKILL)
	if v := c.awaitServer("k1", "it is there", bootLimit, func(*metal.Server) bool { return true }); discovered(v) || served(outposts[1-first]) {
		t.Fatalf("it was killed too late: %s", v.Status.State)
	}
	v := c.awaitServer("k1", "it registers all the same", 4*bootLimit, discovered)
	if !served(outposts[1-first]) || !strings.Contains(c.serial("k1"), "the boot server is gone") {
		t.Errorf("the other pxe-server did not boot it: %+v", v.Status.Boots)
	}
	outposts[first].start()
	c.await(cutLimit, "the killed one is back", func() bool { return outposts[first].get("/readyz") == "ok\n" })
}
