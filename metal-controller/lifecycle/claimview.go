package lifecycle

import "time"

// ClaimView is what was read, uncached, of the ServerClaim that the record names. It is zero for a server without a claim.
type ClaimView struct {
	// Found says that the claim exists.
	Found bool
	// Bound says that its binding names this server and the record's binding id; BoundElsewhere, that it names anything else.
	Bound, BoundElsewhere bool
	// Deleting says that it is being deleted and still has our finalizer.
	Deleting bool
	// Moving says that it has clusterctl's delete-for-move annotation.
	Moving bool
	// Blocks says that it has the annotation that clusterctl waits for. It is read only where a move is under way.
	Blocks bool
	// ClusterHeld says why Cluster API keeps anything from being released: its Cluster is paused or missing, or its machine is not deleted. Empty when nothing does,
	// or it has none.
	ClusterHeld string
	// UID of the claim, which another object of its name does not have.
	UID string
	// ClusterGoes says that the claim's Cluster of Cluster API exists and is not paused; PausedByMove is since when clusterctl holds it, zero when it does not. Both are
	// read only where a move is under way.
	ClusterGoes  bool
	PausedByMove time.Time
	// LoseMember is a person's word that the server need not leave the etcd of its cluster before it is released.
	LoseMember bool
	// NotReady says why its server cannot boot its operating system yet, one of the reasons of Ingot with a message for people: the Environment or the machine
	// config is missing. Empty when it can.
	NotReady, NotReadyMessage string
	// Alive is when the workload last told, with its capability, that it is installed or runs, or a little later: when what the record says of that was seen to
	// change. Watched is since when somebody listens. LocalBoots counts signs
	// since both that its machine does not run it: scripts for the local disk, and agents that enrolled.
	Alive, Watched time.Time
	LocalBoots     int
}

// Moved says that the claim came here from another API server, or goes to one.
func (c ClaimView) Moved(o *Observation) bool {
	return c.Found && c.Bound && o.Passport.Content != nil
}
