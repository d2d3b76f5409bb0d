//go:build e2e

package scenarios

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// cyclesAnHour is how often Ingot may switch off a machine that does not obey, in an hour (lifecycle's maxAttempts).
const cyclesAnHour = 3

// TestBMCLies: a BMC takes orders and ignores them. Reading back notices: nothing is believed to have happened, the reason says so, and Ingot does not go on to order.
// Once the BMC obeys again the same server becomes Available by itself, which is the control.
func TestBMCLies(t *testing.T) {
	spec := plain("l1", 0x61)
	spec.Disks = []rack.Disk{{Kind: qemu.NVMe, SizeBytes: 256 << 20, Serial: "NVl1", Fill: marked}}
	s := newSite(t, spec)
	bmc := s.declare("l1")
	s.ingot("power", "on", "l1")
	s.awaitServer("l1", "it registers", bootLimit, discovered)
	pid, before := s.machine("l1").PID(), resets(bmc)
	s.faults["l1"].Set(fakebmc.Fault{IgnorePower: true})
	s.ingot("accept", "l1", "--wipe-data", "--yes")
	v := s.awaitServer("l1", "the lie is noticed", 4*bootLimit, func(v *metal.Server) bool {
		return meta.IsStatusConditionFalse(v.Status.Conditions, reasons.BMCReachable)
	})
	if c := meta.FindStatusCondition(v.Status.Conditions, reasons.BMCReachable); c.Status != metav1.ConditionFalse || c.Reason != reasons.BMCLied {
		t.Errorf("it says %+v", c)
	}
	if said := s.ingot("why", "l1"); !strings.Contains(said, reasons.BMCLied) {
		t.Errorf("`ingot why` does not name the lie:\n%s", said)
	}
	if now := s.machine("l1").PID(); now != pid || pid == 0 {
		t.Errorf("control: QEMU was %d and is %d, so the BMC obeyed", pid, now)
	}
	if v.Spec.Record.Wipe != nil {
		t.Errorf("a wipe was granted on a machine that was never off: %+v", v.Spec.Record.Wipe)
	}
	wantMarks(t, true, s.images("l1", 1)...)
	s.faults["l1"].Set(fakebmc.Fault{})
	s.awaitServer("l1", "the BMC obeys, and the server is Available", 8*bootLimit, available)
	wantMarks(t, false, s.images("l1", 1)...)
	if n := resets(bmc) - before; n > 3*cyclesAnHour { // off, on and the gentle one of each cycle
		t.Errorf("%d power orders within an hour", n)
	}
}

// resets counts the power orders that a BMC got.
func resets(bmc *fakebmc.BMC) (n int) {
	for _, r := range bmc.Requests() {
		if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "ComputerSystem.Reset") {
			n++
		}
	}
	return n
}
