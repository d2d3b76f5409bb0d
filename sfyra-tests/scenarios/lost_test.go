//go:build e2e

package scenarios

import (
	"os"
	"strings"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

const onDisk = "testos: running server=e1 from disk"

// TestDiskLost: the disk of a running server is swapped for a blank one while it is off. It is installed again. Afterwards its BMC dies, and the claim that
// is given back waits for a person who saw the machine off.
func TestDiskLost(t *testing.T) {
	c := newCluster(t, small("e1", 0x83))
	c.offer("testos")
	c.open(class, "testos", metal.Requirements{})
	c.register("e1")
	c.claim("db", class, "everySeconds: 5\nmarks: true\n")
	c.ingot("accept", "e1", "--wipe-data", "--yes")
	before := c.awaitRunningAfterWipe("db")
	c.step("installed again", func(t *testing.T) {
		c.swapDisk(t)
		c.bootsInVain(t)
		v := c.awaitServer("e1", "it is installed again", 2*runLimit, func(v *metal.Server) bool {
			r := v.Spec.Record.Installed
			return r != nil && r.BootID != before.Spec.Record.Installed.BootID && r.RunningAt != nil
		})
		if v.Spec.Record.Claim.BindingID != before.Spec.Record.Claim.BindingID {
			t.Error("the binding changed")
		}
		if !c.told("e1", reasons.DiskLost, "") {
			t.Error("nobody was told that the disk was lost")
		}
		c.awaitRunning("db")
		c.await(bootLimit, "it runs from its new disk", func() bool { return strings.Count(c.serial("e1"), onDisk) == 2 })
	})
	c.step("TestDeleteWithDeadBMC", func(t *testing.T) { c.deleteWithDeadBMC(t) })
}

// awaitRunningAfterWipe waits for the wipe of the acceptance as well.
func (c *cluster) awaitRunningAfterWipe(claim string) *metal.Server {
	c.t.Helper()
	c.awaitClaim(claim, "it is bound", wipeLimit, func(v *metal.ServerClaim) bool { return v.Spec.Binding != nil })
	return c.awaitRunning(claim)
}

// swapDisk pulls the plug and puts a blank disk in.
func (c *cluster) swapDisk(t *testing.T) {
	t.Helper()
	if err := c.machine("e1").ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	image := c.images("e1", 1)[0]
	info, err := os.Stat(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, info.Size()} {
		if err := os.Truncate(image, size); err != nil {
			t.Fatal(err)
		}
	}
}

// bootsInVain switches the machine on and lets it ask for its boot three times, as one does that finds nothing on its disk.
func (c *cluster) bootsInVain(t *testing.T) {
	t.Helper()
	const ask = "iPXE initialising devices"
	m := c.machine("e1")
	for i := range 3 {
		asked := strings.Count(c.serial("e1"), ask)
		start := m.Reset
		if i == 0 {
			start = m.PowerOn
		}
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.await(bootLimit, "the machine asks for its boot", func() bool { return strings.Count(c.serial("e1"), ask) > asked })
	}
	c.awaitServer("e1", "it is looked after", 2*wipeLimit, func(v *metal.Server) bool {
		return of(v, reasons.Provisioned) == reasons.DiskBootFailed || v.Spec.Record.Installed == nil
	})
}

// deleteWithDeadBMC: without proof of off the binding stays, whatever the claim wishes.
func (c *cluster) deleteWithDeadBMC(t *testing.T) {
	pid := c.machine("e1").PID()
	c.faults["e1"].Set(fakebmc.Fault{Dead: true})
	if err := c.client.Delete(t.Context(), c.look("db")); err != nil {
		t.Fatal(err)
	}
	v := c.awaitServer("e1", "nothing proves that it is off", wipeLimit, func(v *metal.Server) bool { return of(v, reasons.Released) == reasons.FencingUnconfirmed })
	waits := c.awaitClaim("db", "it says so", bootLimit, func(v *metal.ServerClaim) bool { return says(v, reasons.Ready) == reasons.FencingUnconfirmed })
	if v.Spec.Record.Claim == nil || waits.DeletionTimestamp == nil || !strings.Contains(c.ingot("why", "e1"), "--confirm-powered-off") {
		t.Errorf("the server's side is %+v", v.Spec.Record.Claim)
	}
	if now := c.machine("e1").PID(); now != pid || c.countIn("e1", install.Mark) < 100 {
		t.Errorf("the workload was touched: process %d, then %d", pid, now)
	}
	if err := c.machine("e1").ForceOff(t.Context()); err != nil { // a person at the rack pulls the plug, and says so
		t.Fatal(err)
	}
	c.ingot("release", "--server", "e1", "--confirm-powered-off", "--yes")
	c.awaitGone("db")
	v = c.awaitServer("e1", "it belongs to nobody", bootLimit, func(v *metal.Server) bool { return v.Spec.Record.Claim == nil })
	if r := v.Spec.Record.Release; r == nil || r.Proof != metal.ProofConfirmed {
		t.Errorf("the record of the release is %+v", r)
	}
	c.faults["e1"].Set(fakebmc.Fault{})
	c.awaitServer("e1", "with a BMC that answers it is wiped", 2*wipeLimit, available)
	if n := c.countIn("e1", install.Mark); n != 0 {
		t.Errorf("%d marks of the workload are left", n)
	}
}
