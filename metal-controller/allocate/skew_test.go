package allocate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// racks are n free servers in each of these racks, r-0, r-1, …
func racks(n int, names ...string) (all []allocate.Candidate) {
	for _, name := range names {
		for i := range n {
			c := available(fmt.Sprintf("%s-%d", name, i))
			c.Server.Labels["rack"] = name
			all = append(all, c)
		}
	}
	return all
}

// spread is a request spread over racks.
func spread(mode metal.SpreadMode) allocate.Request {
	r := request()
	r.Claim.Spec.Spread = &metal.Spread{Key: "rack", MaxSkew: 1, WhenUnsatisfiable: mode}
	r.Siblings = map[types.NamespacedName]struct{}{}
	return r
}

// take gives a server to a sibling, at that many hours.
func take(r allocate.Request, all []allocate.Candidate, server string, hours int) {
	i := slices.IndexFunc(all, func(c allocate.Candidate) bool { return c.Server.Name == server })
	at := metav1.NewTime(now.Add(time.Duration(hours) * time.Hour))
	all[i].Server.Spec.Record.Claim = &metal.ClaimRecord{Namespace: "tenant", Name: "of-" + server, BindingID: "b", BoundAt: &at}
	all[i].Server.Status.Conditions[0].Status, all[i].Server.Status.Conditions[0].Reason = metav1.ConditionFalse, reasons.Claimed
	r.Siblings[types.NamespacedName{Namespace: "tenant", Name: "of-" + server}] = struct{}{}
}

// giveBack gives a server back.
func giveBack(r allocate.Request, all []allocate.Candidate, server string) {
	i := slices.IndexFunc(all, func(c allocate.Candidate) bool { return c.Server.Name == server })
	all[i] = func() allocate.Candidate { c := available(server); c.Server.Labels = all[i].Server.Labels; return c }()
	delete(r.Siblings, types.NamespacedName{Namespace: "tenant", Name: "of-" + server})
}

// TestSpread: each of three goes to a rack of its own, whatever is smaller elsewhere; the fourth, of a rolling replacement, is not refused.
func TestSpread(t *testing.T) {
	r, all := spread(metal.DoNotSchedule), racks(2, "r1", "r2", "r3")
	all[4].Inventory.Spec.Memory.TotalBytes, all[5].Inventory.Spec.Memory.TotalBytes = 1<<40, 1<<40 // the servers of r3 are much bigger
	for hour, want := range []string{"r1-0", "r2-0", "r3-0", "r1-1"} {
		got, unfit := allocate.Choose(r, all)
		if got == nil || got.Server != want {
			t.Fatalf("number %d goes to %+v (%v), not to %s", hour, got, unfit, want)
		}
		take(r, all, want, hour)
	}
}

// TestSpreadWaits: a rack whose servers are all taken by others still counts, so the claim waits and says why; ScheduleAnyway does not wait.
func TestSpreadWaits(t *testing.T) {
	for mode, want := range map[metal.SpreadMode]string{metal.DoNotSchedule: "", metal.ScheduleAnyway: "r1-1"} {
		r, all := spread(mode), racks(2, "r1", "r2")
		take(r, all, "r1-0", 1)
		for _, other := range []string{"r2-0", "r2-1"} {
			take(r, all, other, 1)
			delete(r.Siblings, types.NamespacedName{Namespace: "tenant", Name: "of-" + other})
		}
		got, unfit := allocate.Choose(r, all)
		if want == "" && (got != nil || !slices.ContainsFunc(unfit, func(u metal.Unfit) bool {
			return u.Reason == reasons.SpreadUnmet && slices.Equal(u.Servers, []string{"r1-1"})
		})) {
			t.Errorf("%s: %+v, %+v", mode, got, unfit)
		}
		if want != "" && (got == nil || got.Server != want) {
			t.Errorf("%s: %+v, not %s", mode, got, want)
		}
		giveBack(r, all, "r2-1")
		if got, _ := allocate.Choose(r, all); got == nil || got.Server != "r2-1" {
			t.Errorf("control: %s: a server of r2 is free, and it is %+v", mode, got)
		}
	}
}

// TestSpreadNowhere: a server without the label is in no domain.
func TestSpreadNowhere(t *testing.T) {
	r, all := spread(metal.DoNotSchedule), racks(1, "r1")
	delete(all[0].Server.Labels, "rack")
	if got, unfit := allocate.Choose(r, all); got != nil || len(unfit) != 1 || unfit[0].Reason != reasons.SpreadUnmet {
		t.Errorf("%+v, %+v", got, unfit)
	}
	r.Claim.Spec.Spread.WhenUnsatisfiable = metal.ScheduleAnyway
	if got, _ := allocate.Choose(r, append(racks(1, "r9"), all...)); got == nil || got.Server != "r9-0" {
		t.Errorf("one with a domain is there, and it is %+v", got)
	}
	if got, _ := allocate.Choose(r, all); got == nil {
		t.Error("control: ScheduleAnyway takes it")
	}
}

// TestFailureDomain: a claim that names its domain goes nowhere else.
func TestFailureDomain(t *testing.T) {
	r, all := request(), racks(1, "r1", "r2")
	r.Claim.Spec.FailureDomain = &metal.FailureDomain{Key: "rack", Name: "r2"}
	if got, unfit := allocate.Choose(r, all); got == nil || got.Server != "r2-0" || len(unfit) != 1 || unfit[0].Reason != reasons.OtherFailureDomain {
		t.Errorf("%+v, %+v", got, unfit)
	}
	r.Claim.Spec.FailureDomain.Name = "r3"
	if got, _ := allocate.Choose(r, all); got != nil {
		t.Errorf("there is no r3, and it is %+v", got)
	}
}

// TestSpreadRolling: whatever domains there are, and in which order a provider takes the old ones, a rolling replacement that adds one and then removes the
// oldest never waits, never is ahead by more than one, and ends as even as it began.
func TestSpreadRolling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "replicas")
		var names []string
		for i := range rapid.IntRange(1, 5).Draw(t, "racks") {
			names = append(names, fmt.Sprintf("r%d", i))
		}
		r, all := spread(metal.DoNotSchedule), racks(n+1, names...)
		var held []string
		add := func(hour int) {
			got, unfit := allocate.Choose(r, all)
			if got == nil {
				t.Fatalf("waits with %v: %+v", held, unfit)
				return
			}
			take(r, all, got.Server, hour)
			held = append(held, got.Server)
		}
		for hour := range n {
			add(hour)
		}
		for step := range n {
			add(n + step)
			giveBack(r, all, held[0])
			held = held[1:]
		}
		if ahead := skewOf(held, names); ahead > 1 {
			t.Fatalf("in the end %v are %d apart", held, ahead)
		}
	})
}

// skewOf is the difference between the fullest and the emptiest rack.
func skewOf(held, names []string) int {
	counts := map[string]int{}
	for _, h := range held {
		counts[h[:len(h)-2]]++
	}
	var all []int
	for _, name := range names {
		all = append(all, counts[name])
	}
	return slices.Max(all) - slices.Min(all)
}

// TestSiblingsOfACluster: machines of Cluster API have a controller each, and belong together by cluster, role and MachineDeployment.
func TestSiblingsOfACluster(t *testing.T) {
	claim := func(name, cluster, role, deployment string) metal.ServerClaim {
		yes := true
		c := metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: name, OwnerReferences: []metav1.OwnerReference{{UID: types.UID(name), Controller: &yes}}}}
		c.Labels = map[string]string{metal.ClusterAPILabel: cluster, metal.ClusterRoleLabel: role, metal.DeploymentLabel: deployment}
		return c
	}
	all := []metal.ServerClaim{
		claim("a", "c1", metal.RoleControlPlane, ""), claim("b", "c1", metal.RoleControlPlane, ""), claim("c", "c1", metal.RoleWorker, "md"),
		claim("d", "c1", metal.RoleWorker, "md2"), claim("e", "c2", metal.RoleControlPlane, ""), claim("f", "c1", metal.RoleWorker, "md"),
	}
	for i, want := range map[int][]string{0: {"b"}, 2: {"f"}, 3: nil, 4: nil} {
		got := allocate.Siblings(&all[i], all)
		var names []string
		for k := range got {
			names = append(names, k.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s has %v, not %v", all[i].Name, names, want)
		}
	}
}
