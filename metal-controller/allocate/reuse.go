package allocate

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// ReuseOwner is whose machine a claim is when servers go from one machine to the next without a wipe: its Cluster, role and MachineDeployment, of its namespace. It is empty
// unless both the class and the claim allow that, and for claims of no Cluster API machine, whose owner nobody could tell.
func ReuseOwner(claim *metal.ServerClaim, class *metal.ServerClass) string {
	if class.Spec.Reuse != metal.ReuseSameOwner || !claim.Spec.Reuse {
		return ""
	}
	return set(claim)
}

// Kept says that a server was given back and waits, not wiped, for another machine of its owner.
func Kept(s *metal.Server) bool {
	r := recorded(s)
	return r.Claim == nil && r.Wipe == nil && r.Release != nil && r.Release.OffAt != nil && r.Release.ReuseUntil != nil && r.Release.ReuseOwner != ""
}

// reusable says that the server is kept for this very claim.
func (r *Request) reusable(s *metal.Server) bool {
	owner := ReuseOwner(r.Claim, r.Class)
	return owner != "" && Kept(s) && recorded(s).Release.ReuseOwner == owner && recorded(s).Release.Namespace == r.Claim.Namespace
}

// taken is why the claim cannot have the server now; empty when it can.
func (r *Request) taken(s *metal.Server) string {
	if r.reusable(s) {
		return withheld(s)
	}
	return unavailable(s)
}

// keptFirst are the candidates that are kept for this claim, if there are any: what is on their disks is why it wants them.
func (r *Request) keptFirst(all []Candidate) []Candidate {
	var out []Candidate
	for _, c := range all {
		if r.reusable(c.Server) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return all
	}
	return out
}
