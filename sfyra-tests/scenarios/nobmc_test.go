//go:build e2e

package scenarios

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/guest/install"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// TestNoBMC: the life of a server that nobody but its own agent, and a hand, can restart. The test is the hand; QEMU's process says who switched what: it is the
// same one for as long as nobody presses the button.
func TestNoBMC(t *testing.T) {
	spec := small("n1", 0x91)
	spec.Disks = []rack.Disk{{Kind: qemu.NVMe, SizeBytes: 256 << 20, Serial: "NVn1", Fill: marked}}
	c := newCluster(t, spec)
	c.offer("testos")
	c.open(class, "testos", metal.Requirements{})
	m := c.machine("n1")
	c.create(&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: metal.ServerSpec{Identity: &metal.Identity{MACs: m.Identity().MACs}}})
	var pid int
	c.step("Registers", func(t *testing.T) {
		v := c.awaitServer("n1", "it names the gesture", bootLimit, because(reasons.NotRegistered))
		if why := c.ingot("why", "n1"); !strings.Contains(why, "press its power button") || v.Status.State != metal.StateUnverified {
			t.Errorf("nothing says who presses the button:\n%s", why)
		}
		if said := c.refuses("power", "on", "n1"); !strings.Contains(said, "power button") {
			t.Errorf("`ingot power on` does not say what to press:\n%s", said)
		}
		pid = c.pressed(t)
		c.awaitServer("n1", "it registers", bootLimit, discovered)
		wantMarks(t, true, c.images("n1", 1)...)
	})
	c.step("Wiped", func(t *testing.T) {
		c.ingot("accept", "n1", "--wipe-data", "--yes")
		v := c.awaitServer("n1", "it is Available", wipeLimit, available)
		r := v.Spec.Record
		if r.Wipe.VerifiedAt == nil || r.Boot.RestartedBy == "" || r.Boot.RestartedBy == r.Agent.Key || r.Boot.ID != r.Wipe.BootID {
			t.Errorf("the record is %+v %+v %+v", r.Boot, r.Wipe, r.Agent)
		}
		wantMarks(t, false, c.images("n1", 1)...)
		c.untouched(t, pid, 2)
	})
	c.step("Runs", func(t *testing.T) {
		c.claim("web", class, "everySeconds: 5\nmarks: true\n")
		c.awaitRunning("web")
		if n := c.countIn("n1", install.Mark); n < 100 {
			t.Errorf("the workload's disk has %d marks", n)
		}
		c.untouched(t, pid, 2)
	})
	c.step("GivenBack", func(t *testing.T) { c.givenBackByHand(t) })
}

// pressed switches the machine on and returns QEMU's process.
func (c *cluster) pressed(t *testing.T) int {
	t.Helper()
	if err := c.machine("n1").PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.machine("n1").PID()
}

// untouched wants the machine on, in the process that the hand started, after so many starts of the agent.
func (c *cluster) untouched(t *testing.T, pid, agents int) {
	t.Helper()
	if now := c.machine("n1").PID(); now != pid || now == 0 {
		t.Errorf("QEMU runs as %d, and the hand started %d", now, pid)
	}
	if n := strings.Count(c.serial("n1"), "this is Ingot's agent"); n != agents {
		t.Errorf("the agent started %d times, want %d", n, agents)
	}
}

// givenBackByHand: the release waits while nothing proves that the system stopped, and touches nothing; the agent that enrols after the machine was restarted by
// hand is the proof.
func (c *cluster) givenBackByHand(t *testing.T) {
	if out, err := c.try("release", "web", "--yes", "--wait", "--timeout", "20s"); err == nil {
		t.Errorf("the release ended, and nothing proved that the system stopped:\n%s", out)
	}
	v := c.awaitServer("n1", "it waits for a hand", bootLimit, because(reasons.FencingUnconfirmed))
	if why := c.ingot("why", "n1"); v.Spec.Record.Claim == nil || !strings.Contains(why, "Restart the machine from the network") {
		t.Errorf("`ingot why` does not say what to do:\n%s", why)
	}
	if n := c.countIn("n1", install.Mark); n < 100 {
		t.Errorf("the workload's disk has %d marks, and it was not stopped", n)
	}
	if err := c.machine("n1").ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.await(bootLimit, "the machine is off", func() bool { return c.machine("n1").PID() == 0 })
	pid := c.pressed(t)
	c.awaitGone("web")
	r := c.awaitServer("n1", "it is Available again", wipeLimit, available).Spec.Record
	if r.Claim != nil || r.Release != nil || r.Installed != nil || r.Wipe.ID == v.Spec.Record.Wipe.ID {
		t.Errorf("the record is %+v", r)
	}
	if n := c.countIn("n1", install.Mark); n != 0 {
		t.Errorf("%d marks of the workload are left", n)
	}
	c.untouched(t, pid, 4)
}
