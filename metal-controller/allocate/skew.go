package allocate

import (
	"math"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// skew is how the siblings of a claim stand in the failure domains over which it is spread. A nil one refuses nothing and prefers nothing.
type skew struct {
	spread  *metal.Spread
	domains map[string]domain
	fewest  int
}

// domain is one failure domain.
type domain struct {
	// claims of siblings there; the latest of them was bound at that time.
	claims int
	latest time.Time
}

// lately is the time of a binding that its server does not show yet.
var lately = time.Unix(math.MaxInt32, 0)

// skew counts the siblings in each domain. The domains are those of all servers that suit the claim, taken or not: one where none is free now still counts, as
// otherwise the others would fill up while it waits.
func (r *Request) skew(all []Candidate) *skew {
	s := r.Claim.Spec.Spread
	if s == nil {
		return nil
	}
	out := &skew{spread: s, domains: map[string]domain{}, fewest: math.MaxInt}
	for _, c := range all {
		name := c.Server.Labels[s.Key]
		_, sibling := r.Siblings[c.holder()]
		if name == "" || !sibling && len(r.unsuited(c)) > 0 {
			continue
		}
		d := out.domains[name]
		if sibling {
			d.claims++
			d.latest = later(d.latest, boundAt(c))
		}
		out.domains[name] = d
	}
	for _, d := range out.domains {
		out.fewest = min(out.fewest, d.claims)
	}
	return out
}

// boundAt is when a candidate's claim was bound.
func boundAt(c Candidate) time.Time {
	if r := claimOf(c.Server); r != nil && r.BoundAt != nil {
		return r.BoundAt.Time
	}
	return lately
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// refuses says why a server that is free would stand in the wrong domain.
func (s *skew) refuses(server *metal.Server) []Reason {
	if s == nil || s.spread.WhenUnsatisfiable == metal.ScheduleAnyway {
		return nil
	}
	name := server.Labels[s.spread.Key]
	if name == "" {
		return one(reasons.SpreadUnmet, "it has no label "+s.spread.Key+", over which the claim is spread")
	}
	if ahead := s.domains[name].claims + 1 - s.fewest; ahead > int(max(s.spread.MaxSkew, 1)) {
		return one(reasons.SpreadUnmet, sprintf("with it %s %s would be %d ahead of the one with the fewest, and %d is allowed", s.spread.Key, name, ahead, max(s.spread.MaxSkew, 1)))
	}
	return nil
}

// best are the candidates in the domain that needs one most: the fewest claims, and of those the one whose latest claim is the oldest, since in a rolling
// replacement that is the next to go.
func (s *skew) best(candidates []Candidate) []Candidate {
	if s == nil {
		return candidates
	}
	var out []Candidate
	for _, c := range candidates {
		if len(out) > 0 && s.before(out[0].Server, c.Server) {
			continue
		}
		if len(out) > 0 && s.before(c.Server, out[0].Server) {
			out = nil
		}
		out = append(out, c)
	}
	return out
}

// before says that one server's domain needs a claim more than another's. Servers without a domain come last.
func (s *skew) before(a, b *metal.Server) bool {
	x, y := a.Labels[s.spread.Key], b.Labels[s.spread.Key]
	if x == "" || y == "" {
		return x != "" && y == ""
	}
	if s.domains[x].claims != s.domains[y].claims {
		return s.domains[x].claims < s.domains[y].claims
	}
	return s.domains[x].latest.Before(s.domains[y].latest)
}
