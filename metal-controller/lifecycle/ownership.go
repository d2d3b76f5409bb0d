package lifecycle

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// ownership records this installation on a server that nobody manages, and decides who manages one that is handed over. Another installation's server stays as it
// is: rule 4 of DESIGN section 3.
func ownership(o *Observation, p *Plan) {
	m, uid := recorded(o).ManagedBy, string(o.Server.UID)
	switch {
	case o.Installation == "":
	case m == nil:
		p.edit(o, func(r *metal.ServerRecord) {
			r.ManagedBy = &metal.ManagedBy{Installation: o.Installation, Epoch: 1, Object: uid}
		})
	case !foreign(o) && m.Object == "" && uid != "":
		p.edit(o, func(r *metal.ServerRecord) { r.ManagedBy.Object = uid })
	case !foreign(o) && m.Object != uid:
		p.edit(o, func(r *metal.ServerRecord) { // somebody made the Server anew with a record of ours: nobody knows how old that is
			s := metal.Server{Spec: o.Server.Spec}
			s.Spec.Record = r
			Unverify(&s, o.Now)
			r.Unverified.Reason, r.ManagedBy.Object = reasons.Recreated, uid
		})
	}
	hands(o, p)
}

// hands passes the server from one installation to another, or back: by a person's word, or with its claim.
func hands(o *Observation, p *Plan) {
	if o.Installation == "" {
		return
	}
	ownerRequest(o, p)
	switch {
	case p.Taken:
	case takeable(o):
		p.takeOffer(o)
	case returned(o):
		p.takeBack(o)
	case o.Claim.Moved(o) && foreign(o):
		p.again(recheckCluster)
	}
}

// take makes this installation the one that manages the server, with the record as the one before it left it. No boot, order or gesture goes over.
func (p *Plan) take(o *Observation, from *metal.ServerRecord) {
	r, own := from.DeepCopy(), recorded(o).ManagedBy
	epoch := r.ManagedBy.Epoch
	if own != nil {
		epoch = max(epoch, own.Epoch)
	}
	r.ManagedBy = &metal.ManagedBy{Installation: o.Installation, Epoch: epoch + 1, Object: string(o.Server.UID)}
	s := metal.Server{Spec: o.Server.Spec}
	s.Spec.Record = r
	interrupt(&s, o.Now, reasons.HandedOver)
	if r.Installed != nil { // its promise to tell that it runs was made to another address
		r.Installed.EverySeconds = 0
	}
	p.Record, p.Taken = r, true
	if c := o.Passport.Content; c != nil && o.Server.Spec.BMC == nil {
		p.BMC = c.BMC.DeepCopy()
	}
}

// takeOffer takes the server by its passport. What registered here and nobody touched comes by the yes of whoever accepted it where it was, as the record does. A Server
// that somebody did something with here keeps the word that stands in it.
func (p *Plan) takeOffer(o *Observation) {
	c := o.Passport.Content
	p.take(o, &c.Record)
	p.Accepted = c.Accepted && untouched(recorded(o))
}

// takeable says that the server came here with its claim, and that the installation before let it go: clusterctl lets the Cluster go on here only after the
// claim there is gone.
func takeable(o *Observation) bool {
	offer := o.offer()
	if offer == nil || offer.LetGo.BindingID == "" || o.Now.Sub(offer.LetGo.At.Time).Abs() > offerMaxAge {
		return false
	}
	c := o.Claim
	return c.Found && c.Bound && !c.Deleting && !c.Moving && c.ClusterGoes && o.heir(offer)
}

// offer is who let the server go by the passport; nil when the passport says no such thing of another installation.
func (o *Observation) offer() *metal.ManagedBy {
	c := o.Passport.Content
	if c == nil || c.Record.ManagedBy == nil || c.Record.ManagedBy.LetGo == nil || c.Record.ManagedBy.Installation == o.Installation {
		return nil
	}
	return c.Record.ManagedBy
}

// heir says that what this API server has of the server may make way for the passport: a copy that came with it, what was let go from here before, or one that a
// machine registered and nobody did anything with. It must be the same machine.
func (o *Observation) heir(offer *metal.ManagedBy) bool {
	r, m := recorded(o), recorded(o).ManagedBy
	switch {
	case !sameMachine(o.Inventory, o.Passport.Content):
		return false
	case m == nil:
		return untouched(r)
	case m.Installation == offer.Installation, m.Installation == o.Installation && m.LetGo != nil:
		return m.Epoch <= offer.Epoch
	}
	return m.Installation == o.Installation && untouched(r)
}

// untouched says that nothing was ever begun on the server from here.
func untouched(r *metal.ServerRecord) bool {
	return r.Acceptance == nil && r.Claim == nil && r.Release == nil && r.Wipe == nil && r.Installed == nil && r.Quarantine == nil && r.BMCAccount == nil && !live(r)
}

// returned says that this installation let the server go for a move that ended without it: the very claim is still there, and its Cluster goes on here.
func returned(o *Observation) bool {
	m, c := recorded(o).ManagedBy, o.Claim
	return m != nil && m.Installation == o.Installation && m.LetGo != nil && m.LetGo.ClaimUID != "" && c.Found && c.Bound && !c.Moving &&
		c.UID == m.LetGo.ClaimUID && c.ClusterGoes && o.offer() == nil
}

// takeBack goes by steps, since the next clusterctl may begin any moment, and a passport that says that the server was let go must not travel while it is managed here. The
// claim keeps a move waiting again, the passport is empty, and only if the Cluster still goes on after that was read, the server is ours: whoever holds the Cluster later copies an empty passport.
func (p *Plan) takeBack(o *Observation) {
	switch {
	case recorded(o).ManagedBy.LetGo.PackedAt != nil: // with this the claim is kept from being moved
		p.edit(o, func(r *metal.ServerRecord) { r.ManagedBy.LetGo.PackedAt = nil })
		p.again(time.Second)
	case !o.Claim.Blocks:
		p.again(recheckCluster)
	case o.Passport.Content != nil:
		p.Action = Action{Kind: EmptyPassport, ID: recorded(o).ManagedBy.LetGo.BindingID}
		p.again(time.Second)
	default:
		r := recorded(o).DeepCopy()
		r.ManagedBy.Epoch, r.ManagedBy.LetGo = r.ManagedBy.Epoch+1, nil
		p.Record, p.Taken = r, true
	}
}

// foreign says that this installation may not act on the server.
func foreign(o *Observation) bool {
	return o.Installation == "" || recorded(o).Foreign(o.Installation)
}

// shownByOwner says that the status was written by the installation that manages the server. One that came from elsewhere, as clusterctl moves it, has none.
func shownByOwner(o *Observation) bool {
	m := recorded(o).ManagedBy
	if m != nil && m.Installation == o.Installation { // let go: the status is our own
		return false
	}
	return slices.ContainsFunc(o.Server.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == reasons.Ready && c.Reason != reasons.UnmanagedHere
	})
}

// ownerRequest does a person's one-time word.
func ownerRequest(o *Observation, p *Plan) {
	q := o.Server.Spec.OwnerRequest
	if q == nil || q.ID == p.present(o).OwnerRequest {
		return
	}
	why, later := refuseOwner(o, p, q)
	if later {
		p.again(time.Second)
		return
	}
	switch {
	case why == "":
		p.obey(o, q)
	case foreign(o): // its record is not ours to write
		if fresh(o, q.RequestedAt) {
			p.set(reasons.HandedOver, False, reasons.OwnerRequestExpired, "The request "+q.ID+" does nothing: "+why)
			p.again(requestMaxAge)
		}
		return
	default:
		p.Events = append(p.Events, Event{Warning: true, Reason: reasons.OwnerRequestExpired, Message: "The owner request " + q.ID + " was dropped: " + why})
	}
	p.edit(o, func(r *metal.ServerRecord) { r.OwnerRequest = q.ID })
}

// obey carries out what was asked for.
func (p *Plan) obey(o *Observation, q *metal.OwnerRequest) {
	if q.Action == metal.OwnerLetGo {
		p.edit(o, func(r *metal.ServerRecord) { r.ManagedBy.LetGo = &metal.LetGo{At: second(o)} })
		return
	}
	if o.offer() != nil {
		p.takeOffer(o)
		return
	}
	let := recorded(o).ManagedBy.LetGo != nil
	p.take(o, recorded(o))
	if !let { // the one before may have gone on since this was copied
		p.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Adopted, Since: second(o)}
	}
}

// refuseOwner says why a request does nothing, or that it has to wait.
func refuseOwner(o *Observation, p *Plan, q *metal.OwnerRequest) (why string, later bool) {
	m := recorded(o).ManagedBy
	switch {
	case !fresh(o, q.RequestedAt):
		return "it is older than ten minutes or than the Server itself. Ask again with `ingot adopt`.", false
	case q.Action == metal.OwnerLetGo && (m == nil || foreign(o)):
		return "this installation does not manage the server.", false
	case q.Action == metal.OwnerLetGo && q.Epoch != m.Epoch:
		return "it names another hand-over than the last one.", false
	case q.Action == metal.OwnerLetGo:
		f := busy(o, p)
		return "", f != ""
	}
	return refuseAdopt(o, q), false
}

func refuseAdopt(o *Observation, q *metal.OwnerRequest) string {
	m, offer := recorded(o).ManagedBy, o.offer()
	switch {
	case offer != nil && q.Epoch == offer.Epoch && o.heir(offer):
		return ""
	case offer != nil && q.Epoch == offer.Epoch:
		return "the Server here has a record of its own, or is another machine."
	case m == nil, !foreign(o):
		return "this installation manages the server already."
	case q.Epoch != m.Epoch:
		return "it names another hand-over than the last one."
	case m.LetGo == nil && !q.Force:
		return "the installation " + m.Installation + " did not let the server go."
	}
	return ""
}
