package lifecycle

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
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
