package lifecycle

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// ownership records this installation on a server that nobody manages. Another installation's server stays as it is: rule 4 of DESIGN section 3.
func ownership(o *Observation, p *Plan) {
	if recorded(o).ManagedBy != nil || o.Installation == "" {
		return
	}
	r := p.record(o)
	r.ManagedBy = &metal.ManagedBy{Installation: o.Installation, Epoch: 1}
	p.Record = r
}

// foreign says that this installation may not act on the server.
func foreign(o *Observation) bool {
	m := recorded(o).ManagedBy
	return o.Installation == "" || m != nil && m.Installation != o.Installation
}

// shownByOwner says that the status was written by the installation that manages the server. One that came from elsewhere, as clusterctl moves it, has none.
func shownByOwner(o *Observation) bool {
	return slices.ContainsFunc(o.Server.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == reasons.Ready && c.Reason != reasons.UnmanagedHere
	})
}
