package allocate_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// obstacles are rows of an available server with one thing changed, and why the claim cannot have it then.
var obstacles = map[string]struct {
	change func(*allocate.Request, *allocate.Candidate)
	want   string
}{
	"nothing":           {func(*allocate.Request, *allocate.Candidate) {}, ""},
	"it is wanted":      {func(r *allocate.Request, _ *allocate.Candidate) { r.Claim.Spec.ServerName = "s1" }, ""},
	"another is wanted": {func(r *allocate.Request, _ *allocate.Candidate) { r.Claim.Spec.ServerName = "s2" }, reasons.OtherServerWanted},
	"no manager":        {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Spec.Record.ManagedBy = nil }, reasons.UnmanagedHere},
	"other manager": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Spec.Record.ManagedBy.Installation = "there"
	}, reasons.UnmanagedHere},
	"no id of our own": {func(r *allocate.Request, c *allocate.Candidate) {
		r.Installation, c.Server.Spec.Record.ManagedBy.Installation = "", ""
	}, reasons.UnmanagedHere},
	"no record":    {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Spec.Record = nil }, reasons.UnmanagedHere},
	"no inventory": {func(_ *allocate.Request, c *allocate.Candidate) { c.Inventory = nil }, reasons.NotRegistered},
	"labels": {func(r *allocate.Request, _ *allocate.Candidate) {
		r.Class.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	}, reasons.LabelsUnmet},
	"requirements":      {func(r *allocate.Request, _ *allocate.Candidate) { r.Class.Spec.Requirements.Arch = "arm64" }, reasons.RequirementUnmet},
	"broken expression": {func(r *allocate.Request, _ *allocate.Candidate) { r.Class.Spec.Requirements.CEL = []string{"?"} }, reasons.InvalidClass},
	"trust level 1":     {func(r *allocate.Request, _ *allocate.Candidate) { r.Class.Spec.MinimumTrust = 1 }, ""},
	"trust level 2":     {func(r *allocate.Request, _ *allocate.Candidate) { r.Class.Spec.MinimumTrust = 2 }, reasons.TrustNotReachable},
	"claimed": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Spec.Record.Claim = &metal.ClaimRecord{Namespace: "n", Name: "c"}
	}, reasons.Claimed},
	"just taken": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.TakenBy = &types.NamespacedName{Namespace: "n", Name: "c"}
	}, reasons.Claimed},
	"released": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Spec.Record.Release = &metal.ReleaseRecord{}
	}, reasons.Releasing},
	"quarantined": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Spec.Record.Quarantine = &metal.QuarantineRecord{}
	}, reasons.Quarantined},
	"cordoned": {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Spec.Cordoned = true }, reasons.Cordoned},
	"paused": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Annotations = map[string]string{"metal.ingot.dev/paused": ""}
	}, reasons.Paused},
	"not accepted":  {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Spec.Accepted = false }, reasons.NotAccepted},
	"no acceptance": {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Spec.Record.Acceptance = nil }, reasons.NotAccepted},
	"restored": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Spec.Record.Unverified = &metal.UnverifiedRecord{}
	}, reasons.Restored},
	"never wiped":     {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Spec.Record.Wipe = nil }, reasons.NotReady},
	"wipe unverified": {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Spec.Record.Wipe.VerifiedAt = nil }, reasons.NotReady},
	"no status":       {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.Status = metal.ServerStatus{} }, reasons.NotReady},
	"not ready": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Status.Conditions[0].Status = metav1.ConditionFalse
	}, reasons.NotReady},
	"ready otherwise": {func(_ *allocate.Request, c *allocate.Candidate) {
		c.Server.Status.Conditions[0].Reason = reasons.Running
	}, reasons.NotReady},
	"being deleted": {func(_ *allocate.Request, c *allocate.Candidate) { c.Server.DeletionTimestamp = &now }, reasons.NotReady},
}

func TestObstacles(t *testing.T) {
	for name, c := range obstacles {
		t.Run(name, func(t *testing.T) {
			r, s := request(), available("s1")
			c.change(&r, &s)
			choice, unfit := allocate.Choose(r, []allocate.Candidate{s})
			if c.want == "" {
				if choice == nil || choice.Server != "s1" || choice.Environment != "talos" || len(unfit) > 0 {
					t.Errorf("got %v, %v", choice, unfit)
				}
				return
			}
			if choice != nil || len(unfit) != 1 || unfit[0].Reason != c.want || unfit[0].Count != 1 || !strings.HasPrefix(unfit[0].Message, "s1: ") {
				t.Errorf("got %v, %v; want %s", choice, unfit, c.want)
			}
		})
	}
}

// TestEnvironments: claim, then server, then class; what a claim or a server names must be allowed; they do not overrule each other.
func TestEnvironments(t *testing.T) {
	for name, c := range map[string]struct {
		claim, server, class string
		allowed              []string
		arch, boots, refused string
	}{
		"the class's":                    {"", "", "talos", nil, "amd64", "talos", ""},
		"the server's, as the class's":   {"", "talos", "talos", nil, "amd64", "talos", ""},
		"the server's":                   {"", "intel", "talos", []string{"int*"}, "amd64", "intel", ""},
		"the server's, forbidden":        {"", "intel", "talos", nil, "amd64", "", reasons.EnvironmentNotAllowed},
		"the server's alone":             {"", "intel", "", []string{"*"}, "amd64", "intel", ""},
		"the claim's":                    {"intel", "", "talos", []string{"intel"}, "amd64", "intel", ""},
		"the claim's, forbidden":         {"intel", "", "talos", []string{"x"}, "amd64", "", reasons.EnvironmentNotAllowed},
		"both the same":                  {"intel", "intel", "talos", []string{"intel"}, "amd64", "intel", ""},
		"two different":                  {"talos", "intel", "talos", []string{"*"}, "amd64", "", reasons.EnvironmentNotAllowed},
		"the server's, the class's wins": {"talos", "", "talos", nil, "arm64", "talos", ""},
		"none":                           {"", "", "", []string{"*"}, "amd64", "", reasons.EnvironmentMissing},
		"one that is gone":               {"", "", "gone", nil, "amd64", "", reasons.EnvironmentMissing},
		"other architecture":             {"", "", "intel", nil, "arm64", "", reasons.EnvironmentUnsupported},
		"unknown architecture":           {"", "", "talos", nil, "", "", reasons.EnvironmentUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := request(), available("s1")
			r.Claim.Spec.EnvironmentName, s.Server.Spec.EnvironmentRef, r.Class.Spec.EnvironmentRef = c.claim, ref(c.server), ref(c.class)
			r.Class.Spec.AllowedEnvironments, s.Inventory.Spec.Arch = c.allowed, c.arch
			choice, unfit := allocate.Choose(r, []allocate.Candidate{s})
			if c.refused != "" && (choice != nil || len(unfit) != 1 || unfit[0].Reason != c.refused) || c.refused == "" && (choice == nil || choice.Environment != c.boots) {
				t.Errorf("got %v, %v", choice, unfit)
			}
		})
	}
}

func ref(name string) *metal.NameRef {
	if name == "" {
		return nil
	}
	return &metal.NameRef{Name: name}
}

func TestEnvironmentWish(t *testing.T) {
	r := request()
	for name, want := range map[string]string{"": "", "talos": "", "intel": reasons.EnvironmentNotAllowed, "lab-1": reasons.EnvironmentMissing} {
		r.Claim.Spec.EnvironmentName, r.Class.Spec.AllowedEnvironments = name, []string{"lab-*"}
		got := allocate.EnvironmentWish(r.Claim, r.Class, r.Environments)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0].Reason != want) {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// TestUnresolved: a release of Talos whose files nobody knows is no reason to take a server; the claim waits with the words of the Environment.
func TestUnresolved(t *testing.T) {
	away := func(e *metal.Environment, generation int64) {
		meta.SetStatusCondition(&e.Status.Conditions, metav1.Condition{
			Type: reasons.Resolved, Status: metav1.ConditionFalse, Reason: reasons.FactoryUnreachable, Message: "it is away", ObservedGeneration: generation,
		})
	}
	for name, c := range map[string]struct {
		pinned       []string
		change       func(*metal.Environment)
		reason, says string
	}{
		"nobody looked yet":         {nil, func(*metal.Environment) {}, reasons.Resolving, "the Environment talos has not been resolved yet"},
		"it is away":                {nil, func(e *metal.Environment) { away(e, 0) }, reasons.FactoryUnreachable, "the Environment talos is not resolved: it is away"},
		"words about another spec":  {nil, func(e *metal.Environment) { away(e, 1); e.Generation = 2 }, reasons.Resolving, "yet"},
		"another version is pinned": {[]string{"amd64"}, func(e *metal.Environment) { e.Spec.Talos.Version = "v1.13.1" }, reasons.Resolving, "yet"},
		"another architecture is":   {[]string{"arm64"}, func(e *metal.Environment) { away(e, 0) }, reasons.EnvironmentUnsupported, "nothing for amd64"},
		"control: it is pinned":     {[]string{"amd64"}, func(e *metal.Environment) { away(e, 0) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := request()
			r.Environments["talos"] = talos(c.pinned...)
			c.change(r.Environments["talos"])
			choice, unfit := allocate.Choose(r, []allocate.Candidate{available("s1")})
			if (choice != nil) != (c.reason == "") || c.reason != "" && (len(unfit) != 1 || unfit[0].Reason != c.reason || !strings.Contains(unfit[0].Message, c.says)) {
				t.Errorf("got %v, %v", choice, unfit)
			}
			r.Claim.Spec.EnvironmentName = "talos"
			wish := allocate.EnvironmentWish(r.Claim, r.Class, r.Environments)
			byServer := c.reason == "" || c.reason == reasons.EnvironmentUnsupported
			if byServer != (len(wish) == 0) || !byServer && wish[0].Reason != c.reason {
				t.Errorf("the claim names it: %v", wish)
			}
		})
	}
}

// TestPreference: the smallest that fits, then spread, then the name.
func TestPreference(t *testing.T) {
	names := func(c *allocate.Choice) string {
		if c == nil {
			return ""
		}
		return c.Server
	}
	t.Run("the smallest", func(t *testing.T) {
		big, small, alike := available("a"), available("b"), available("c")
		big.Inventory.Spec.Memory.TotalBytes *= 4
		alike.Inventory.Spec.Memory.TotalBytes -= 1 << 20 // a hair less is no difference
		got, _ := allocate.Choose(request(), []allocate.Candidate{big, alike, small})
		if names(got) != "b" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("spread", func(t *testing.T) {
		r := request()
		r.Class.Spec.SpreadKey = "rack"
		r.Siblings = map[types.NamespacedName]struct{}{{Namespace: "tenant", Name: "m0"}: {}, {Namespace: "tenant", Name: "m2"}: {}}
		taken, just, other := available("a"), available("b"), available("x")
		taken.Server.Spec.Record.Claim = &metal.ClaimRecord{Namespace: "tenant", Name: "m0"}
		just.Server.Labels["rack"], just.TakenBy = "r2", &types.NamespacedName{Namespace: "tenant", Name: "m2"}
		other.Server.Labels["rack"], other.TakenBy = "r3", &types.NamespacedName{Namespace: "others", Name: "m2"}
		first, second, third := available("c"), available("d"), available("e")
		second.Server.Labels["rack"], third.Server.Labels["rack"] = "r2", "r3"
		all := []allocate.Candidate{taken, just, other, first, second, third}
		if got, _ := allocate.Choose(r, all); names(got) != "e" {
			t.Errorf("got %v", got)
		}
		r.Siblings = nil
		if got, _ := allocate.Choose(r, all); names(got) != "c" {
			t.Errorf("control: without siblings got %v", got)
		}
	})
}

func TestSiblings(t *testing.T) {
	claim := func(namespace, name, class, owner string) metal.ServerClaim {
		c := metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: metal.ServerClaimSpec{ClassName: class}}
		if owner != "" {
			yes := true
			c.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(owner), Controller: &yes}}
		}
		return c
	}
	all := []metal.ServerClaim{
		claim("t", "a", "small", ""), claim("t", "b", "small", ""), claim("t", "c", "big", ""), claim("u", "d", "small", ""),
		claim("t", "e", "small", "o1"), claim("t", "f", "big", "o1"), claim("t", "g", "small", "o2"),
	}
	for of, want := range map[int]string{0: "t/b", 4: "t/f", 6: ""} {
		got := allocate.Siblings(&all[of], all)
		text := ""
		for n := range got {
			text += n.String()
		}
		if text != want {
			t.Errorf("%s has %q; want %q", all[of].Name, text, want)
		}
	}
}

// TestGroups: one group for each reason, the first ten names, the message of the first server.
func TestGroups(t *testing.T) {
	r := request()
	r.Class.Spec.Requirements = metal.Requirements{Cores: countRange(64, -1), Product: strings.Repeat("x", 600)}
	var all []allocate.Candidate
	for n := range 15 {
		all = append(all, available(fmt.Sprintf("s%02d", 14-n)))
	}
	all[3].Server.Spec.Record.ManagedBy = nil
	choice, unfit := allocate.Choose(r, all)
	if choice != nil || len(unfit) != 2 {
		t.Fatalf("got %v, %v", choice, unfit)
	}
	u := unfit[0]
	if u.Reason != reasons.RequirementUnmet || u.Count != 14 || len(u.Servers) != 10 || u.Servers[0] != "s00" || len(u.Message) > 512 || !strings.Contains(u.Message, "s00: its product") {
		t.Errorf("got %+v", u)
	}
	if unfit[1].Reason != reasons.UnmanagedHere || unfit[1].Count != 1 {
		t.Errorf("got %+v", unfit[1])
	}
}
