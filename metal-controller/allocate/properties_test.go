package allocate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/allocate"
)

// changes are what may be different about a server; drawn ones are made together.
var changes = []func(*allocate.Candidate){
	func(c *allocate.Candidate) { c.Inventory = nil },
	func(c *allocate.Candidate) { c.Server.Spec.Record = nil },
	func(c *allocate.Candidate) { c.Server.Labels = nil },
	func(c *allocate.Candidate) { c.Server.Labels["rack"] = "r2" },
	func(c *allocate.Candidate) { c.Server.Spec.Cordoned = true },
	func(c *allocate.Candidate) { c.Server.Spec.Accepted = false },
	func(c *allocate.Candidate) { c.Server.Status.Conditions = nil },
	func(c *allocate.Candidate) { c.Server.Spec.EnvironmentRef = &metal.NameRef{Name: "intel"} },
	func(c *allocate.Candidate) { c.TakenBy = &types.NamespacedName{Namespace: "tenant", Name: "m7"} },
	func(c *allocate.Candidate) { c.Inventory.Spec.Arch = "arm64" },
	func(c *allocate.Candidate) { c.Inventory.Spec.Memory.TotalBytes *= 3 },
	func(c *allocate.Candidate) { c.Inventory.Spec.Disks = nil },
	func(c *allocate.Candidate) {
		c.Server.Spec.Record.Claim = &metal.ClaimRecord{Namespace: "tenant", Name: "m8"}
	},
	func(c *allocate.Candidate) { c.Server.Spec.Record.Wipe.VerifiedAt = nil },
	func(c *allocate.Candidate) { c.Server.Spec.Record.Release = &metal.ReleaseRecord{} },
}

func drawCandidate(t *rapid.T, name string) allocate.Candidate {
	c := available(name)
	if rapid.IntRange(0, 2).Draw(t, "plain") == 0 {
		return c
	}
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(changes)-1), 1, 3, rapid.ID[int]).Draw(t, "changes") {
		usable := c.Inventory != nil && c.Server.Spec.Record != nil && c.Server.Labels != nil
		if usable {
			changes[n](&c)
		}
	}
	return c
}

func drawRequest(t *rapid.T) allocate.Request {
	r := request()
	r.Claim.Spec.ServerName = rapid.SampledFrom([]string{"", "", "", "s01", "gone"}).Draw(t, "server")
	r.Claim.Spec.EnvironmentName = rapid.SampledFrom([]string{"", "", "talos", "intel", "gone"}).Draw(t, "environment")
	s := &r.Class.Spec
	s.AllowedEnvironments = rapid.SampledFrom([][]string{nil, {"*"}, {"in*"}}).Draw(t, "allowed")
	s.MinimumTrust = rapid.SampledFrom([]int32{0, 1, 1, 1, 2}).Draw(t, "trust")
	s.SpreadKey = rapid.SampledFrom([]string{"", "rack"}).Draw(t, "spread")
	if rapid.Bool().Draw(t, "selects") {
		s.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"rack": "r1"}}
	}
	if rapid.Bool().Draw(t, "requires") {
		s.Requirements = metal.Requirements{Memory: bytesRange("", "64Gi"), Disks: []metal.DiskRequirement{{}}, CEL: []string{"true"}}
	}
	r.Siblings = map[types.NamespacedName]struct{}{{Namespace: "tenant", Name: "m7"}: {}, {Namespace: "tenant", Name: "m8"}: {}}
	return r
}

// TestChooseProperties: an unfit or taken server is never chosen; each that does not fit is counted in exactly one group; the order of the candidates
// changes nothing; nothing that was handed in is changed.
func TestChooseProperties(t *testing.T) {
	chosen := 0
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t)
		var all []allocate.Candidate
		for n := range rapid.IntRange(0, 24).Draw(t, "servers") {
			all = append(all, drawCandidate(t, fmt.Sprintf("s%02d", n)))
		}
		before, _ := json.Marshal(all)
		choice, unfit := allocate.Choose(r, all)
		could, counted := map[string]bool{}, 0
		for _, c := range all { // each alone: what is wrong with one server does not hang on others
			one, groups := allocate.Choose(r, []allocate.Candidate{c})
			could[c.Server.Name] = one != nil
			if (one == nil) != (len(groups) == 1) || one == nil && groups[0].Count != 1 {
				t.Fatalf("%s alone: %v, %v", c.Server.Name, one, groups)
			}
			if one == nil {
				counted++
			}
		}
		if choice != nil {
			chosen++
			if !could[choice.Server] {
				t.Fatalf("%s was chosen and cannot be had", choice.Server)
			}
			free(t, all, choice.Server)
		} else if counted != len(all) {
			t.Fatalf("nothing was chosen, and %d of %d can be had", len(all)-counted, len(all))
		}
		total := 0
		for _, u := range unfit {
			total += int(u.Count)
			for _, name := range u.Servers {
				if could[name] {
					t.Fatalf("%s is in the group %s and can be had", name, u.Reason)
				}
			}
		}
		if total != counted || len(unfit) > 32 {
			t.Fatalf("%d servers are in %d groups; want %d", total, len(unfit), counted)
		}
		shuffled := append([]allocate.Candidate(nil), all...)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, groups := allocate.Choose(r, shuffled)
		if !reflect.DeepEqual(choice, again) || !reflect.DeepEqual(unfit, groups) {
			t.Fatalf("in another order: %v and %v, %v and %v", choice, again, unfit, groups)
		}
		if after, _ := json.Marshal(all); !bytes.Equal(before, after) {
			t.Fatal("the candidates were changed")
		}
	})
	if chosen == 0 {
		t.Error("control: nothing was ever chosen")
	}
}

// free asks the record itself.
func free(t *rapid.T, all []allocate.Candidate, name string) {
	for _, c := range all {
		r := c.Server.Spec.Record
		if c.Server.Name == name && (c.TakenBy != nil || r == nil || r.Claim != nil || r.Release != nil || r.Wipe == nil || r.Wipe.VerifiedAt == nil || c.Server.Spec.Cordoned) {
			t.Fatalf("%s was chosen and is not free", name)
		}
	}
}
