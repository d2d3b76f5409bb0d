package allocate_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// TestReuse: a server that was given back is kept for a machine of the same owner, which prefers it, and for nobody else. Each refusal is one change of what is taken.
func TestReuse(t *testing.T) {
	at := metav1.Now()
	for name, tc := range map[string]struct {
		change func(*metal.ServerClaim, *metal.ServerClass, *metal.Server)
		want   string
	}{
		"of the same owner":      {nil, "z-kept"},
		"the class says no":      {func(_ *metal.ServerClaim, c *metal.ServerClass, _ *metal.Server) { c.Spec.Reuse = metal.ReuseNever }, "a-clean"},
		"the class says nothing": {func(_ *metal.ServerClaim, c *metal.ServerClass, _ *metal.Server) { c.Spec.Reuse = "" }, "a-clean"},
		"the claim says no":      {func(c *metal.ServerClaim, _ *metal.ServerClass, _ *metal.Server) { c.Spec.Reuse = false }, "a-clean"},
		"another namespace":      {func(c *metal.ServerClaim, _ *metal.ServerClass, _ *metal.Server) { c.Namespace = "test" }, "a-clean"},
		"another cluster": {func(c *metal.ServerClaim, _ *metal.ServerClass, _ *metal.Server) {
			c.Labels[metal.ClusterAPILabel] = "lab2"
		}, "a-clean"},
		"no cluster at all": {func(c *metal.ServerClaim, _ *metal.ServerClass, _ *metal.Server) { c.Labels = nil }, "a-clean"},
		"another deployment": {func(c *metal.ServerClaim, _ *metal.ServerClass, _ *metal.Server) {
			c.Labels[metal.DeploymentLabel] = "md2"
		}, "a-clean"},
		"a control plane": {func(c *metal.ServerClaim, _ *metal.ServerClass, _ *metal.Server) {
			c.Labels[metal.ClusterRoleLabel] = metal.RoleControlPlane
		}, "a-clean"},
		"kept no longer": {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) {
			s.Spec.Record.Release.ReuseUntil = nil
		}, "a-clean"},
		"not proven off": {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) { s.Spec.Record.Release.OffAt = nil }, "a-clean"},
		"being wiped": {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) {
			s.Spec.Record.Wipe = &metal.WipeRecord{}
		}, "a-clean"},
		"quarantined": {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) {
			s.Spec.Record.Quarantine = &metal.QuarantineRecord{}
		}, "a-clean"},
		"cordoned":              {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) { s.Spec.Cordoned = true }, "a-clean"},
		"not accepted any more": {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) { s.Spec.Accepted = false }, "a-clean"},
		"from a backup": {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) {
			s.Spec.Record.Unverified = &metal.UnverifiedRecord{}
		}, "a-clean"},
		"another installation's": {func(_ *metal.ServerClaim, _ *metal.ServerClass, s *metal.Server) {
			s.Spec.Record.ManagedBy.Installation = "there"
		}, "a-clean"},
	} {
		claim := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "c", Labels: map[string]string{
			metal.ClusterAPILabel: "lab", metal.ClusterRoleLabel: metal.RoleWorker, metal.DeploymentLabel: "md",
		}}, Spec: metal.ServerClaimSpec{ClassName: "any", Reuse: true}}
		class := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "any"}, Spec: metal.ServerClassSpec{Reuse: metal.ReuseSameOwner, EnvironmentRef: &metal.NameRef{Name: "os"}}}
		kept, clean := ownedServer("z-kept"), ownedServer("a-clean")
		kept.Spec.Record.Release = &metal.ReleaseRecord{Namespace: "prod", Name: "old", OffAt: &at, ReuseOwner: "lab/" + metal.RoleWorker + "/md", ReuseUntil: &at}
		clean.Spec.Record.Wipe = &metal.WipeRecord{VerifiedAt: &at}
		clean.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: metav1.ConditionTrue, Reason: reasons.Available}}
		if tc.change != nil {
			tc.change(claim, class, kept)
		}
		request := allocate.Request{
			Claim: claim, Class: class, Installation: "here",
			Environments: map[string]*metal.Environment{"os": {ObjectMeta: metav1.ObjectMeta{Name: "os"}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64"}}}}},
			Fit:          func(*metal.ServerClass, *metal.Server, *metal.ServerInventory) []allocate.Reason { return nil },
		}
		i := &metal.ServerInventory{Spec: metal.ServerInventorySpec{Arch: "amd64"}}
		choice, unfit := allocate.Choose(request, []allocate.Candidate{{Server: clean, Inventory: i}, {Server: kept, Inventory: i}})
		if choice == nil || choice.Server != tc.want {
			t.Errorf("%s: %+v, not %s: %+v", name, choice, tc.want, unfit)
		}
	}
}

func ownedServer(name string) *metal.Server {
	return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Accepted: true, Record: &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{}, ManagedBy: &metal.ManagedBy{Installation: "here"},
	}}}
}
