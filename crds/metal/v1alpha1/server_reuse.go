package v1alpha1

// Occupy makes a side of a binding the record's. A release that kept the server for it goes with it: whatever becomes of this binding, what the release allows to be
// wiped is not forgotten. The caller has judged that the side may have the server.
func (r *ServerRecord) Occupy(side *ClaimRecord) {
	r.Claim = side
	if r.Release != nil {
		side.Reused, r.Release = r.Release, nil
	}
}

// Vacate drops a side of a binding for which nothing was begun on the machine. A server that was not wiped before it waits for its wipe again.
func (r *ServerRecord) Vacate() {
	if r.Claim != nil {
		r.Claim, r.Release = nil, r.Claim.Reused
	}
}
