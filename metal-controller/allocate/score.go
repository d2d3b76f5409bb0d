package allocate

import (
	"math"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// dimensions of a machine that are worth saving.
const dimensions = 4

// first is the place of the best of the candidates, which are sorted by name; used counts the siblings by the value of the spread key.
func first(candidates []Candidate, used func(*metal.Server) int) int {
	sizes := surplus(candidates)
	best := 0
	for n := range candidates {
		if sizes[n] > sizes[best] {
			continue
		}
		if sizes[n] < sizes[best] || used(candidates[n].Server) < used(candidates[best].Server) {
			best = n
		}
	}
	return best
}

// surplus says how big each machine is beside the biggest of them, in each dimension in whole percent: machines of one model, whose memory or disks
// differ by a hair, are equals. All of them meet the same requirements, so the smallest has the least that nobody asked for.
func surplus(candidates []Candidate) []float64 {
	var biggest [dimensions]float64
	all := make([][dimensions]float64, len(candidates))
	for n, c := range candidates {
		all[n] = measure(c)
		for d := range dimensions {
			biggest[d] = max(biggest[d], all[n][d])
		}
	}
	out := make([]float64, len(candidates))
	for n := range all {
		for d := range dimensions {
			if biggest[d] > 0 {
				out[n] += math.Round(100 * all[n][d] / biggest[d])
			}
		}
	}
	return out
}

// measure is how much of each dimension a machine has.
func measure(c Candidate) (size [dimensions]float64) {
	i := &c.Inventory.Spec
	size[0], size[1] = float64(Cores(i)), float64(max(i.Memory.TotalBytes, 0))
	for _, d := range ownDisks(c.Server, i) {
		size[2] += float64(max(d.SizeBytes, 0))
	}
	for _, n := range i.NICs {
		size[3] += float64(max(n.SpeedMbps, 0))
	}
	return size
}

// spread counts the siblings that have servers with a server's value of the spread key. Servers without the label share the empty value.
func (r *Request) spread(all []Candidate) func(*metal.Server) int {
	key := r.Class.Spec.SpreadKey
	if key == "" || len(r.Siblings) == 0 {
		return func(*metal.Server) int { return 0 }
	}
	counts := map[string]int{}
	for _, c := range all {
		if _, sibling := r.Siblings[c.holder()]; sibling {
			counts[c.Server.Labels[key]]++
		}
	}
	return func(s *metal.Server) int { return counts[s.Labels[key]] }
}

// holder is the claim that has the server; zero when none has.
func (c Candidate) holder() types.NamespacedName {
	if r := claimOf(c.Server); r != nil {
		return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
	}
	if c.TakenBy != nil {
		return *c.TakenBy
	}
	return types.NamespacedName{}
}

// Siblings are the claims, the claim itself left out, that belong together: for machines of Cluster API those of the same cluster, role and MachineDeployment,
// since each of them has a controller of its own; else those that have the same controller as owner; without one those of its namespace and class that have
// none either. All claims are of its namespace.
func Siblings(claim *metal.ServerClaim, all []metal.ServerClaim) map[types.NamespacedName]struct{} {
	out := map[types.NamespacedName]struct{}{}
	for i := range all {
		other := &all[i]
		if other.Namespace == claim.Namespace && other.Name != claim.Name && kin(claim, other) {
			out[types.NamespacedName{Namespace: other.Namespace, Name: other.Name}] = struct{}{}
		}
	}
	return out
}

func kin(a, b *metal.ServerClaim) bool {
	if x, y := set(a), set(b); x != y || x != "" {
		return x == y
	}
	x, y := metav1.GetControllerOf(a), metav1.GetControllerOf(b)
	if x == nil || y == nil {
		return x == nil && y == nil && a.Spec.ClassName == b.Spec.ClassName
	}
	return x.UID == y.UID
}

// set names the machines of Cluster API that a claim is one of; empty when it is of none.
func set(c *metal.ServerClaim) string {
	cluster := c.Labels[metal.ClusterAPILabel]
	if cluster == "" {
		return ""
	}
	return cluster + "/" + c.Labels[metal.ClusterRoleLabel] + "/" + c.Labels[metal.DeploymentLabel]
}
