package lifecycle

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Limits of power cycles that no person asked for.
const (
	maxCycles   = 3
	cycleWindow = time.Hour
)

// Remedy is what may be done about the unhealthy workload of a binding.
type Remedy string

// The remedies.
const (
	// RemedyCycle: its server may be cycled.
	RemedyCycle Remedy = "Cycle"
	// RemedyWait: somebody holds the server, and it is theirs to let go.
	RemedyWait Remedy = "Wait"
	// RemedyReplace: a power cycle cannot be had, or would not help.
	RemedyReplace Remedy = "Replace"
)

// Judgement on the workload of a binding, with one of the reasons and a sentence for people.
type Judgement struct {
	Remedy          Remedy
	Reason, Message string
}

// JudgeRemedy says whether the server of a binding may be cycled now since its workload is unhealthy. It reads Now, Installation and Server of the observation. A
// cycle forgets nothing and gives nothing up, so a member of etcd may be cycled; that only one of a cluster is at a time is the caller's affair.
func JudgeRemedy(o *Observation, bindingID string) Judgement {
	r, name := recorded(o), o.Server.Name
	wait := func(reason, message string) Judgement { return Judgement{RemedyWait, reason, message} }
	replace := func(reason, message string) Judgement { return Judgement{RemedyReplace, reason, message} }
	switch {
	case foreign(o), r.ManagedBy == nil:
		return wait(reasons.UnmanagedHere, ownedBy(o))
	case r.Release != nil:
		return wait(reasons.Releasing, "The server is being given back.")
	case r.Claim == nil || r.Claim.BindingID != bindingID || bindingID == "":
		return replace(reasons.ClaimMissing, "No server is bound to the machine any more.")
	case r.Unverified != nil:
		return wait(r.Unverified.Reason, "What Ingot knows of the server comes from a backup, so it is left as it is.")
	case paused(o):
		return wait(reasons.Paused, "The server is paused: `ingot resume "+name+"`.")
	case personOff(o, r):
		return wait(reasons.AwaitingPower, "A person switched the server off: `ingot power on "+name+"` lets it go on.")
	case wished(o, r):
		return wait(reasons.PowerRequestRunning, "A power request is under way.")
	case live(r) && installed(r):
		return wait(reasons.BootRunning, "The server runs a boot of Ingot's own: its disks are looked after.")
	case !o.Server.Spec.Accepted:
		return replace(reasons.NotAccepted, "The server is not accepted any more.")
	case r.Quarantine != nil:
		return replace(reasons.Quarantined, "The server is quarantined.")
	case !installed(r):
		return replace(reasons.Provisioning, "No operating system is installed that a power cycle could bring back.")
	case noBMC(o):
		return replace(reasons.NoBMC, "The server declares no BMC, so nothing can cycle it.")
	case cycledOften(o, r):
		return replace(reasons.PowerCycleLimit, "The server was cycled three times within an hour, and its machine is unhealthy again.")
	}
	return Judgement{RemedyCycle, reasons.PowerCycling, "The server may be cycled."}
}

// wished says that a power request is under way, or was made and not seen yet.
func wished(o *Observation, r *metal.ServerRecord) bool {
	q, done := o.Server.Spec.PowerRequest, r.Power
	switch {
	case q == nil:
		return false
	case done != nil && done.ID == q.ID:
		return !settled(done.Step)
	}
	return q.BindingID == "" && fresh(o, q.RequestedAt)
}

// cycledOften says that one more cycle would be the fourth within an hour.
func cycledOften(o *Observation, r *metal.ServerRecord) bool {
	return r.Power != nil && len(r.Power.Cycles) >= maxCycles && o.Now.Sub(r.Power.Cycles[len(r.Power.Cycles)-maxCycles].At.Time).Abs() < cycleWindow
}

// Cycled says that a remediation's cycle with this id was begun, and whether nothing more is done about it.
func Cycled(r *metal.ServerRecord, id string) (was, over bool) {
	if r == nil || !begun(r.Power, id) {
		return false, false
	}
	return true, r.Power.ID != id || settled(r.Power.Step)
}

// begun says that the cycle is among the last.
func begun(r *metal.PowerRecord, id string) bool {
	return r != nil && slices.ContainsFunc(r.Cycles, func(c metal.PowerCycle) bool { return c.ID == id })
}

// remedy begins the cycle that a remediation asks for, once nothing else holds the server, and with the record of when.
func (p *Plan) remedy(o *Observation, request *metal.PowerRequest) {
	if request.Action != metal.PowerActionCycle || JudgeRemedy(o, request.BindingID).Remedy != RemedyCycle || o.Claim.Deleting || requested(o, p) {
		p.step(o, request.ID, metal.PowerFailed)
		return
	}
	p.edit(o, func(r *metal.ServerRecord) {
		if r.Power == nil {
			r.Power = &metal.PowerRecord{}
		}
		r.Power.Cycles = append(slices.Clone(r.Power.Cycles), metal.PowerCycle{ID: request.ID, At: metav1.NewTime(stamp(o).Time)})
		r.Power.Cycles = r.Power.Cycles[max(0, len(r.Power.Cycles)-maxCycles):]
	})
	p.start(o, request.ID, metal.PowerSwitchingOff)
}
