package lifecycle

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

const (
	// offerMaxAge is how long a server that was let go with its claim is taken over without a person: older passports come from backups.
	offerMaxAge = time.Hour
	// settling is how long clusterctl must have held a Cluster before its servers are let go. Saving to a folder holds it too, and lets it go on at once.
	settling = 10 * time.Second
	// recheckCluster is when to look at a Cluster again that may go on any moment.
	recheckCluster = 5 * time.Second
)

// Passport goes with a server from one API server to another, in a Secret: what the one that takes it over has to know, as it was when it was let go.
type Passport struct {
	// Record as it was left, with LetGo.
	Record metal.ServerRecord `json:"record"`
	// BMC as it was declared.
	BMC *metal.BMC `json:"bmc,omitempty"`
	// Accepted is a person's yes, as it stood.
	Accepted bool `json:"accepted,omitempty"`
	// Serial and MACs of the machine, as its agent reported them.
	Serial string   `json:"serial,omitempty"`
	MACs   []string `json:"macs,omitempty"`
}

// PassportView is what was read, uncached, of the Secret of a passport.
type PassportView struct {
	// Found says that there is one; CreatedAt is when it was made. clusterctl takes along only what it found at first.
	Found     bool
	CreatedAt time.Time
	// Content is nil in one that waits to be filled in.
	Content *Passport
}

// PassportSecret is the name of the Secret with the passport of a server.
func PassportSecret(server string) string { return "ingot-move-" + server }

// Encode is the passport's form.
func (c *Passport) Encode() ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing a passport: %w", err)
	}
	return text, nil
}

// maxPassport bounds what is read of a passport, in bytes: a Secret holds no more than a megabyte.
const maxPassport = 1 << 20

// DecodePassport reads Encode's form; nil for what is none.
func DecodePassport(text []byte) *Passport {
	var c Passport
	if len(text) > maxPassport || json.Unmarshal(text, &c) != nil || c.Record.ManagedBy == nil {
		return nil
	}
	return &c
}

// PassportOf is the passport of a server as it is.
func PassportOf(s *metal.Server, inventory *metal.ServerInventorySpec) *Passport {
	c := &Passport{BMC: s.Spec.BMC.DeepCopy(), Accepted: s.Spec.Accepted}
	if s.Spec.Record != nil {
		s.Spec.Record.DeepCopyInto(&c.Record)
	}
	if inventory != nil {
		c.Serial, c.MACs = inventory.System.Serial, macs(inventory)
	}
	return c
}

func macs(inventory *metal.ServerInventorySpec) (out []string) {
	for _, n := range inventory.NICs {
		if n.PermanentMAC != "" {
			out = append(out, n.PermanentMAC)
		}
	}
	return out
}

// sameMachine says that nothing that is known here says otherwise.
func sameMachine(inventory *metal.ServerInventorySpec, c *Passport) bool {
	if inventory == nil {
		return true
	}
	here := macs(inventory)
	if len(here) > 0 && len(c.MACs) > 0 {
		return slices.ContainsFunc(here, func(mac string) bool { return slices.Contains(c.MACs, mac) })
	}
	return inventory.System.Serial == "" || c.Serial == "" || inventory.System.Serial == c.Serial
}

// handOver lets a server go with its claim, once clusterctl holds the claim's Cluster and nothing is under way on the server; then its passport is filled in,
// and only after that the claim may be moved.
func handOver(o *Observation, p *Plan) {
	m := recorded(o).ManagedBy
	switch {
	case m == nil || m.Installation != o.Installation:
	case m.LetGo != nil:
		pack(o, p)
	case foreign(o), o.Claim.PausedByMove.IsZero(), o.offer() != nil, !bound(p.present(o)) || !o.Claim.Bound:
	case !o.Passport.Found || !o.Passport.CreatedAt.Before(o.Claim.PausedByMove):
		p.set(reasons.HandedOver, False, reasons.HandOverWaits, "clusterctl began to move the claim before the server had its passport, so it would leave that behind. Let the Cluster go on, and move again.")
		p.again(recheckCluster)
	case busy(o, p) != "":
		p.set(reasons.HandedOver, False, reasons.HandOverWaits, "clusterctl moves the claim; the server is let go when it is done: "+busy(o, p))
		p.again(recheckCluster)
	case o.Now.Sub(o.Claim.PausedByMove).Abs() < settling:
		p.set(reasons.HandedOver, False, reasons.HandOverWaits, "clusterctl moves the claim; the server is let go in a moment.")
		p.again(settling - o.Now.Sub(o.Claim.PausedByMove).Abs())
	default:
		p.edit(o, func(r *metal.ServerRecord) {
			r.ManagedBy.LetGo = &metal.LetGo{At: second(o), BindingID: r.Claim.BindingID, ClaimUID: o.Claim.UID}
		})
		p.set(reasons.HandedOver, False, reasons.HandOverWaits, "The server is let go; its passport is written next.")
		p.again(time.Second)
	}
}

// pack fills in the passport of a server that was let go from here, while its claim is still here.
func pack(o *Observation, p *Plan) {
	let := recorded(o).ManagedBy.LetGo
	if let.ClaimUID == "" || let.PackedAt != nil || o.Claim.UID != let.ClaimUID || o.Claim.PausedByMove.IsZero() {
		p.set(reasons.HandedOver, True, reasons.HandedOver, ownedBy(o))
		return
	}
	p.set(reasons.HandedOver, False, reasons.HandOverWaits, "The server is let go; its passport is written next.")
	p.again(time.Second)
	if c := o.Passport.Content; c != nil && sameOffer(c.Record.ManagedBy, recorded(o).ManagedBy) {
		p.edit(o, func(r *metal.ServerRecord) {
			at := second(o)
			r.ManagedBy.LetGo.PackedAt = &at
		})
		return
	}
	p.Action = Action{Kind: WritePassport, ID: let.BindingID}
}

func sameOffer(a, b *metal.ManagedBy) bool {
	return a.Installation == b.Installation && a.Epoch == b.Epoch && a.LetGo != nil && b.LetGo != nil && a.LetGo.At.Equal(&b.LetGo.At) &&
		a.LetGo.BindingID == b.LetGo.BindingID
}

// Outdated says that a passport tells of an earlier hand-over than the record, of a server that this installation manages: it must not be taken along again.
func (c *Passport) Outdated(r *metal.ServerRecord, installation string) bool {
	return r != nil && r.ManagedBy != nil && !r.Foreign(installation) && c.Record.ManagedBy.Epoch < r.ManagedBy.Epoch
}

// busy says what has to end before the server can be let go; empty when nothing is under way.
func busy(o *Observation, p *Plan) string {
	r := p.present(o)
	switch {
	case p.Granted, p.Action.Kind != NoAction && p.Action.Kind != ReadPower, o.Power.Pending != "":
		return "an order to its BMC is under way."
	case r.Unverified != nil:
		return "nobody knows yet how old its record is (" + r.Unverified.Reason + ")."
	case live(r), live(recorded(o)):
		return "a boot is under way."
	case requested(o, p), o.Server.Spec.PowerRequest != nil && (r.Power == nil || r.Power.ID != o.Server.Spec.PowerRequest.ID):
		return "a person's power request is under way."
	case r.BMCAccount != nil && r.BMCAccount.Step != metal.BMCAccountDone && r.BMCAccount.Step != metal.BMCAccountFailed:
		return "its account at the BMC is being changed."
	}
	return unsettled(r)
}

// unsettled says what of a server's workload or disks is half done.
func unsettled(r *metal.ServerRecord) string {
	switch {
	case r.Release != nil, r.Claim != nil && r.Claim.LeavingAt != nil:
		return "it is being given back."
	case r.Wipe != nil && r.Wipe.VerifiedAt == nil:
		return "its disks are being wiped."
	case r.Claim != nil && !installed(r):
		return "its system is not installed yet."
	case r.Claim != nil && r.Claim.Etcd != nil && r.Claim.Etcd.DoneAt == nil:
		return "the etcd of its cluster is being begun."
	}
	return ""
}

// ownedBy says who may act on a server that is not ours.
func ownedBy(o *Observation) string {
	m := recorded(o).ManagedBy
	switch {
	case m == nil:
		return "Waiting for this installation to learn its own id."
	case m.Installation == o.Installation:
		return "This installation (" + m.Installation + ") let the server go, and does nothing to it. Whoever took it over manages it; if nobody did: `ingot adopt " + o.Server.Name + "`."
	case m.LetGo != nil:
		return "The installation " + m.Installation + " let this server go. This one (" + o.Installation + ") takes it over once its claim's Cluster goes on here; without that: `ingot adopt " +
			o.Server.Name + "`."
	}
	return "The installation " + m.Installation + " manages this server; this one (" + o.Installation + ") only shows it. To take it over: `ingot adopt " + o.Server.Name + "`."
}
