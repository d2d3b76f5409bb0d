// Package allocate matches servers to claims: which server a claim gets, and why it cannot have the others.
//
// It is pure (layer 1): the standard library, apimachinery's data types, the API types and the list of reasons; no I/O, clock or randomness. Its
// functions are total and deterministic: the order in which servers are handed in changes nothing. CEL expressions are evaluated by a function that the
// caller hands in; see the package expr.
//
// Status only proposes: a server is looked for by its condition Ready, and whether it may be taken is read in its record.
package allocate

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Reason says why something is not so: one of the reasons of Ingot, and a message for people with the values that it rests on.
type Reason struct {
	Reason, Message string
}

// Candidate is a server that might be taken. It is only read.
type Candidate struct {
	Server *metal.Server
	// Inventory is nil until an agent reported.
	Inventory *metal.ServerInventory
	// TakenBy names the claim that took the server a moment ago, when Server may not show it yet.
	TakenBy *types.NamespacedName
}

// Request is a claim with what choosing a server for it rests on. It is only read.
type Request struct {
	Claim *metal.ServerClaim
	Class *metal.ServerClass
	// Installation is the id of this one: servers of another one are not taken.
	Installation string
	// Environments by name.
	Environments map[string]*metal.Environment
	// Siblings are the claims of the same owner, over whose servers the class or the claim itself spreads; see Siblings.
	Siblings map[types.NamespacedName]struct{}
	// Fit says why a server does not fit a class; it answers as the function Fit does.
	Fit func(*metal.ServerClass, *metal.Server, *metal.ServerInventory) []Reason
}

// Choice is the server to take.
type Choice struct {
	// Server and Environment by name.
	Server, Environment string
}

// Choose says which server the claim gets, nil when it can have none now, and why it cannot have the others. A server that could be had and was not
// chosen is in no group. Of the servers that can be had it prefers those of the failure domain that needs one most, where the claim is spread; then
// those that are kept for it; then the smallest, since the class says what is needed; then the one whose value of the class's spread key the fewest siblings have; then the first by name.
func Choose(r Request, candidates []Candidate) (*Choice, []metal.Unfit) {
	sorted := slices.Clone(candidates)
	slices.SortFunc(sorted, func(a, b Candidate) int { return strings.Compare(a.Server.Name, b.Server.Name) })
	var fitting []Candidate
	var unfit groups
	skew := r.skew(sorted)
	for _, c := range sorted {
		obstacles, reason := r.obstacles(c), r.taken(c.Server)
		if len(obstacles) == 0 && reason == "" {
			obstacles = skew.refuses(c.Server)
		}
		switch {
		case len(obstacles) > 0:
			unfit.add(c.Server.Name, obstacles)
		case reason == "":
			fitting = append(fitting, c)
		case !unfit.count(reason, c.Server.Name): // words for the first of a kind only: nobody reads those of a thousand
			unfit.add(c.Server.Name, Unavailable(c.Server))
		}
	}
	if len(fitting) == 0 {
		return nil, unfit.list
	}
	fitting = r.keptFirst(skew.best(fitting))
	best := fitting[first(fitting, r.spread(sorted))]
	environment, _ := resolve(r.Claim, r.Class, best.Server)
	return &Choice{Server: best.Server.Name, Environment: environment}, unfit.list
}

// obstacles are why the claim cannot have the server whatever becomes of it, or since another claim was first; all of the first kind that is found. They
// come before what may change by itself, which Unavailable says, so that `Claimed` counts servers that would fit.
func (r *Request) obstacles(c Candidate) []Reason {
	if found := r.unsuited(c); found != nil {
		return found
	}
	if c.TakenBy != nil && claimOf(c.Server) == nil {
		return one(reasons.Claimed, "the claim "+c.TakenBy.String()+" has it")
	}
	return nil
}

// unsuited is why the claim could never have the server.
func (r *Request) unsuited(c Candidate) []Reason {
	if want := r.Claim.Spec.ServerName; want != "" && want != c.Server.Name {
		return one(reasons.OtherServerWanted, "the claim asks for the server "+want)
	}
	if want := r.Claim.Spec.FailureDomain; want != nil && c.Server.Labels[want.Key] != want.Name {
		return one(reasons.OtherFailureDomain, "the claim asks for "+want.Key+" "+want.Name)
	}
	if found := foreign(c.Server, r.Installation); found != nil {
		return found
	}
	if found := r.Fit(r.Class, c.Server, c.Inventory); len(found) > 0 {
		return found
	}
	if r.Class.Spec.MinimumTrust > reachableTrust {
		return one(reasons.TrustNotReachable, sprintf("the class asks for trust level %d, and Ingot can prove level %d", r.Class.Spec.MinimumTrust, reachableTrust))
	}
	return r.bootable(c)
}

// reachableTrust is the highest trust level that a boot can prove in this release.
const reachableTrust = 1

// one is a list of one reason.
func one(reason, message string) []Reason { return []Reason{{reason, message}} }
