package setup_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/setup"
)

// insist enrols until it works, as the agent does when it is told to try again.
func insist(t *testing.T, c *controller, bootID string, e *agent.Evidence) (*machine, error) {
	t.Helper()
	for {
		m, err := boots(t, c, bootID, e)
		if status.Code(err) != codes.Unavailable || t.Context().Err() != nil {
			return m, err
		}
	}
}

// TestDuplicateUUID: machines with the same UUID, or with none that counts, become a Server each, also when they enrol at the same time.
func TestDuplicateUUID(t *testing.T) {
	c := start(t, nil)
	for _, uuid := range []string{"4c4c4544-0035-3010-8031-c4c04f4a3132", "00000000-0000-0000-0000-000000000000", ""} {
		names := atOnce(t, 4, func(i int) (*machine, error) {
			return insist(t, c, fmt.Sprintf("boot-%d", i), &agent.Evidence{Uuid: uuid, Macs: []string{fmt.Sprintf("02:00:00:0%d:03:0%d", len(uuid)%10, i)}})
		})
		if len(names) != 4 {
			t.Errorf("four machines with UUID %q became %v", uuid, names)
		}
	}
}

// TestOneMachineManyEnrolments: one machine that enrols many times at once, on two replicas, becomes one Server.
func TestOneMachineManyEnrolments(t *testing.T) {
	elect := func(c *setup.Config) { c.LeaderElection = true }
	replicas := []*controller{start(t, elect), start(t, elect)}
	e := &agent.Evidence{Macs: []string{"02:00:00:00:04:01"}, Manufacturer: "Acme", Serial: "MANY-1"}
	names := atOnce(t, 8, func(i int) (*machine, error) { return insist(t, replicas[i%2], "boot-many", e) })
	// Whoever matched a Server just before it was taken back holds a dead name, is refused at its next call, and enrols again. What counts is
	// that one Server is there.
	var all metal.ServerList
	if err := admin(t).List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, s := range all.Items {
		if s.Spec.Identity != nil && s.Spec.Identity.Serial == "MANY-1" {
			there = append(there, s.Name)
		}
	}
	if len(there) != 1 || !names[there[0]] {
		t.Errorf("one machine became %v; enrolments got %v", there, names)
	}
}

// atOnce runs n enrolments together and returns the Servers that they got.
func atOnce(t *testing.T, n int, enrol func(int) (*machine, error)) map[string]bool {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	names := map[string]bool{}
	for i := range n {
		wg.Go(func() {
			m, err := enrol(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("enrolment %d: %v", i, err)
				return
			}
			names[m.server] = true
		})
	}
	wg.Wait()
	return names
}

// TestFlood: one source is cut off after its burst; another one is not.
func TestFlood(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.UnknownPolicy = "ignore" })
	source, e := nextSource(), &agent.Evidence{Macs: []string{"02:00:00:00:05:01"}}
	answers := map[codes.Code]int{}
	for range 40 {
		_, err := bootsFrom(t, c, source, "boot-flood", e)
		answers[status.Code(err)]++
	}
	if answers[codes.ResourceExhausted] == 0 || answers[codes.PermissionDenied] < 10 {
		t.Errorf("answers to a flood: %v; want its burst of 10 answered and the rest refused as exhausted", answers)
	}
	if _, err := boots(t, c, "boot-calm", e); status.Code(err) != codes.PermissionDenied {
		t.Errorf("control: another source got %v; want PermissionDenied from the policy", err)
	}
}

// TestTooManyUnaccepted: made-up machines do not fill the API; one that is known is still let in.
func TestTooManyUnaccepted(t *testing.T) {
	var before metal.ServerList
	if err := admin(t).List(t.Context(), &before); err != nil {
		t.Fatal(err)
	}
	c := start(t, func(c *setup.Config) { c.MaxUnaccepted = len(before.Items) + 2 })
	known := &agent.Evidence{Macs: []string{"02:00:00:00:06:00"}}
	for i := range 2 {
		if _, err := boots(t, c, "b", &agent.Evidence{Macs: []string{fmt.Sprintf("02:00:00:00:06:0%d", i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := boots(t, c, "b", &agent.Evidence{Macs: []string{"02:00:00:00:06:09"}}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one machine too many got %v; want ResourceExhausted", err)
	}
	if _, err := boots(t, c, "b", known); err != nil {
		t.Errorf("control: a known machine got %v", err)
	}
}

// TestUnprovenAndAccepted: evidence alone never links to an accepted Server, and the certificates of earlier boots end with the acceptance. Git's
// spec.accepted alone is no acceptance yet.
func TestUnprovenAndAccepted(t *testing.T) {
	c := start(t, nil)
	e := &agent.Evidence{Macs: []string{"02:00:00:00:07:01"}}
	m, err := boots(t, c, "b", e)
	if err != nil {
		t.Fatal(err)
	}
	if err := report(t, m, "02:00:00:00:07:01"); err != nil {
		t.Fatalf("control: before acceptance: %v", err)
	}
	patch(t, m.server, `{"spec":{"accepted":true,"bmc":{"endpoint":"192.0.2.1","credentialsSecret":"none"}}}`)
	if _, err := boots(t, c, "b", e); err != nil {
		t.Errorf("control: accepted by its spec alone: %v", err)
	}
	if err := report(t, m, "02:00:00:00:07:01"); err != nil {
		t.Errorf("control: accepted by its spec alone: %v", err)
	}
	patch(t, m.server, fmt.Sprintf(`{"spec":{"acceptRequest":{"id":"a1","requestedAt":%q}}}`, time.Now().UTC().Format(time.RFC3339)))
	eventually(t, m.server, func(s *metal.Server) bool { return s.Spec.Record != nil && s.Spec.Record.Acceptance != nil })
	if _, err := boots(t, c, "b", e); !denied(err, reasons.Accepted) {
		t.Errorf("enrolling on an accepted Server: %v", err)
	}
	// The cache of the guard may be an instant behind; what is written is judged uncached in any case.
	if err := report(t, m, "02:00:00:00:07:01"); status.Code(err) != codes.Unauthenticated {
		t.Errorf("reporting to an accepted Server: %v; want Unauthenticated", err)
	}
}

// TestAcceptedWithoutBMC: over the wire an agent waits on an accepted Server without a BMC, is told to restart its machine, and its acknowledgement opens the
// window of the boot, in which the next agent is proven.
func TestAcceptedWithoutBMC(t *testing.T) {
	c := start(t, nil)
	e := &agent.Evidence{Macs: []string{"02:00:00:00:07:02"}}
	first, err := boots(t, c, "b", e)
	if err != nil {
		t.Fatal(err)
	}
	patch(t, first.server, fmt.Sprintf(`{"spec":{"accepted":true,"acceptRequest":{"id":"a1","requestedAt":%q}}}`, time.Now().UTC().Format(time.RFC3339)))
	eventually(t, first.server, func(s *metal.Server) bool { return s.Spec.Record != nil && s.Spec.Record.Acceptance != nil })
	m, err := boots(t, c, "b", e)
	if err != nil || m.server != first.server || m.trust != 0 {
		t.Fatalf("enrolling again: %+v, %v", m, err)
	}
	if err := report(t, m, "02:00:00:00:07:02"); err != nil {
		t.Errorf("reporting: %v", err)
	}
	if err := admin(t).Get(t.Context(), client.ObjectKey{Name: m.server}, &metal.ServerInventory{}); err == nil {
		t.Error("what an unproven agent of an accepted Server reported was written")
	}
	stream, err := m.client.Watch(t.Context(), &agent.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var told *agent.Restart
	for told == nil {
		d, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		told = d.GetRestart()
	}
	if _, err := boots(t, c, told.BootId, &agent.Evidence{Macs: []string{"02:00:00:00:07:04"}}); err != nil {
		t.Errorf("control: another machine: %v", err)
	}
	acknowledge := func(by *machine, id string) codes.Code {
		_, err := by.client.AcknowledgeRestart(t.Context(), &agent.AcknowledgeRestartRequest{BootId: id})
		return status.Code(err)
	}
	for id, want := range map[string]codes.Code{"": codes.InvalidArgument, "another": codes.FailedPrecondition} {
		if code := acknowledge(m, id); code != want {
			t.Errorf("acknowledging %q: %s, want %s", id, code, want)
		}
	}
	if code := acknowledge(first, told.BootId); code != codes.Unauthenticated {
		t.Errorf("the agent of before acknowledges: %s", code)
	}
	for range 2 {
		if code := acknowledge(m, told.BootId); code != codes.OK {
			t.Errorf("acknowledging: %s", code)
		}
	}
	next, err := boots(t, c, told.BootId, e)
	if err != nil || next.trust != 1 {
		t.Errorf("the boot that it began: %+v, %v", next, err)
	}
	s := eventually(t, m.server, func(s *metal.Server) bool { return s.Spec.Record.Boot.Phase == metal.BootClaimed })
	if b := s.Spec.Record.Boot; b.RestartedBy == "" || b.RestartedBy == b.Claimant {
		t.Errorf("the boot is %+v", b)
	}
}

// patch changes a Server as a person would.
func patch(t *testing.T, name, merge string) {
	t.Helper()
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := admin(t).Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", []byte(merge))); err != nil {
		t.Fatal(err)
	}
}

func denied(err error, reason string) bool {
	return status.Code(err) == codes.PermissionDenied && strings.HasPrefix(status.Convert(err).Message(), reason+":")
}

func hasReason(s *metal.Server, typ, reason string) bool {
	for _, c := range s.Status.Conditions {
		if c.Type == typ {
			return c.Reason == reason
		}
	}
	return false
}

// report sends an inventory with the given MACs.
func report(t *testing.T, m *machine, macs ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	i := &agent.Inventory{Arch: "amd64"}
	for n, mac := range macs {
		i.Nics = append(i.Nics, &agent.NIC{Name: fmt.Sprintf("eth%d", n), Mac: mac, PermanentMac: mac, PciAddress: fmt.Sprintf("0000:00:0%d.0", n)})
	}
	_, err := m.client.ReportInventory(ctx, &agent.ReportInventoryRequest{Inventory: i})
	return err
}

// TestStolenIdentity: an inventory that names another Server's hardware is not written, and both Servers show the conflict.
func TestStolenIdentity(t *testing.T) {
	c := start(t, nil)
	victim, err := boots(t, c, "bv", &agent.Evidence{Macs: []string{"02:00:00:00:08:01"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := report(t, victim, "02:00:00:00:08:01"); err != nil {
		t.Fatal(err)
	}
	eventually(t, victim.server, func(s *metal.Server) bool { return hasReason(s, reasons.Registered, reasons.InventoryReported) })
	thief, err := boots(t, c, "bt", &agent.Evidence{Macs: []string{"02:00:00:00:08:02"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, macs := range [][]string{{"02:00:00:00:08:01"}, {"02:00:00:00:08:02", "02:00:00:00:08:01"}, {"02:00:00:00:08:99"}} {
		if err := report(t, thief, macs...); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("inventory with %v: %v; want FailedPrecondition", macs, err)
		}
	}
	var none metal.ServerInventory
	if err := admin(t).Get(t.Context(), client.ObjectKey{Name: thief.server}, &none); err == nil {
		t.Errorf("a refused inventory was written: %+v", none.Spec.NICs)
	}
	for _, name := range []string{victim.server, thief.server} {
		eventually(t, name, func(s *metal.Server) bool { return hasReason(s, reasons.IdentityUnique, reasons.IdentityConflict) })
	}
	if err := report(t, thief, "02:00:00:00:08:02"); err != nil {
		t.Errorf("control: its own inventory: %v", err)
	}
	eventually(t, thief.server, func(s *metal.Server) bool { return hasReason(s, reasons.Registered, reasons.InventoryReported) })
	both := &agent.Evidence{Macs: []string{"02:00:00:00:08:01", "02:00:00:00:08:02"}}
	if _, err := boots(t, c, "bb", both); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("evidence of two Servers: %v; want FailedPrecondition", err)
	}
}
