package ingotremediation

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/clusterapi"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

const (
	// recheck is how often what nothing tells of is looked at again: the turn of another control plane.
	recheck = 15 * time.Second
	// requestAge is how long a power request counts (lifecycle drops older ones).
	requestAge = 10 * time.Minute
)

// Observation is what one decision rests on. It is only read.
type Observation struct {
	Now          time.Time
	Installation string
	// NewID is random and was never used before.
	NewID       string
	Remediation *infra.IngotRemediation
	// Machine that owns it; nil when it names none, or that one is gone.
	Machine *clusterv1.Machine
	// Cluster of the Machine; nil when it is not there.
	Cluster *clusterv1.Cluster
	// Binding of the machine's claim; nil when it has none.
	Binding *metal.Binding
	// Server of the binding; nil when it has none.
	Server *metal.Server
	// Other is the name of another control plane of the cluster that is being remediated; empty when none is.
	Other string
}

// Plan is what is to be done: the status first, then what stands in the others.
type Plan struct {
	// Paused is why nothing is done; then all else is empty.
	Paused string
	// Status without conditions, and the condition Ready.
	Status infra.IngotRemediationStatus
	Ready  clusterapi.Condition
	// Request for the power of the Server.
	Request *metal.PowerRequest
	// Replace leaves the Machine to its owner.
	Replace bool
	// After is when to look again even if nothing changes; 0 waits for a change.
	After time.Duration
}

// Decide says what is to be done for an unhealthy machine. It is pure, total and deterministic.
//
//	Waiting ─▶ Cycling ─read back, or failed─▶ Watching ─time over─▶ Cycling … ─▶ Replacing
//	   └── no power cycle can be had, or would help ───────────────────────────────▲
//
// It ends when its Machine is healthy, or gone: whoever made it deletes it then.
func Decide(o *Observation) Plan {
	p := Plan{Status: *o.Remediation.Status.DeepCopy()}
	if p.Paused = clusterapi.Held(o.Cluster, o.Remediation); p.Paused == "" && o.Machine != nil {
		p.Paused = clusterapi.Held(nil, o.Machine)
	}
	if p.Paused != "" {
		return p
	}
	p.Status.ObservedGeneration = o.Remediation.Generation
	switch {
	case o.Machine == nil:
		p.Ready = clusterapi.No(reasons.MachineMissing, "Waiting for the Machine that owns it, which does not exist.")
	case !o.Machine.DeletionTimestamp.IsZero():
		p.Ready = clusterapi.No(reasons.Releasing, "The Machine "+o.Machine.Name+" is being deleted.")
	default:
		p.step(o)
	}
	return p
}

func (p *Plan) step(o *Observation) {
	switch p.Status.Phase {
	case infra.RemediationCycling:
		p.cycling(o)
	case infra.RemediationWatching:
		p.watching(o)
	case infra.RemediationReplacing:
		p.replace(o, "", "")
	default:
		p.next(o)
	}
}

// next begins the next power cycle, waits for it to be possible, or gives up.
func (p *Plan) next(o *Observation) {
	if p.Status.Cycles >= o.Remediation.Spec.RetriesOrDefault() {
		p.replace(o, reasons.StillUnhealthy, tried(p.Status.Cycles))
		return
	}
	j := judge(o)
	switch {
	case j.Remedy == lifecycle.RemedyReplace:
		p.replace(o, j.Reason, j.Message)
	case j.Remedy == lifecycle.RemedyWait:
		p.wait(j.Reason, j.Message)
	case o.Other != "":
		p.wait(reasons.OtherMemberCycles, "Waiting for the control plane "+o.Other+" of the same cluster, which is being remediated.")
		p.After = recheck
	default:
		at := metav1.NewTime(o.Now.UTC().Truncate(time.Second))
		p.Status.Phase, p.Status.Cycles, p.Status.Server = infra.RemediationCycling, p.Status.Cycles+1, o.Server.Name
		p.Status.RequestID, p.Status.RequestedAt, p.Status.CycledAt = o.NewID, &at, nil
		p.ask(o)
	}
}

// judge asks lifecycle, whose word counts when the request is read as well.
func judge(o *Observation) lifecycle.Judgement {
	if o.Binding == nil || o.Server == nil {
		return lifecycle.Judgement{Remedy: lifecycle.RemedyReplace, Reason: reasons.ClaimMissing, Message: "No server is bound to the machine."}
	}
	return lifecycle.JudgeRemedy(&lifecycle.Observation{Now: o.Now, Installation: o.Installation, Server: o.Server}, o.Binding.BindingID)
}

func (p *Plan) wait(reason, message string) {
	p.Status.Phase, p.Ready = infra.RemediationWaiting, clusterapi.No(reason, message)
}

// ask makes the power request, the same one as often as it takes to be written.
func (p *Plan) ask(o *Observation) {
	p.Request = &metal.PowerRequest{ID: p.Status.RequestID, Action: metal.PowerActionCycle, RequestedAt: *p.Status.RequestedAt, BindingID: o.Binding.BindingID}
	p.running(o)
}

func (p *Plan) running(o *Observation) {
	p.Ready = clusterapi.No(reasons.PowerCycling, fmt.Sprintf("Power cycle %d of %d of the server %s is under way.", p.Status.Cycles, o.Remediation.Spec.RetriesOrDefault(), p.Status.Server))
}

// cycling waits for the end of the power cycle. What was never begun does not count.
func (p *Plan) cycling(o *Observation) {
	if o.Server == nil || o.Server.Name != p.Status.Server || p.Status.RequestedAt == nil {
		p.undo(o)
		return
	}
	r := o.Server.Spec.Record
	switch was, over := lifecycle.Cycled(r, p.Status.RequestID); {
	case over:
		at := metav1.NewTime(o.Now.UTC().Truncate(time.Second))
		p.Status.Phase, p.Status.CycledAt = infra.RemediationWatching, &at
		p.watching(o)
	case was:
		p.running(o)
	case r != nil && r.Power != nil && r.Power.ID == p.Status.RequestID, o.Now.Sub(p.Status.RequestedAt.Time).Abs() > requestAge:
		p.undo(o)
	case written(o, p.Status.RequestID):
		p.running(o)
	case judge(o).Remedy == lifecycle.RemedyCycle:
		p.ask(o)
	default:
		p.undo(o)
	}
}

func written(o *Observation, id string) bool {
	q := o.Server.Spec.PowerRequest
	return q != nil && q.ID == id
}

// undo forgets a power cycle that was not begun, and looks for what to do instead.
func (p *Plan) undo(o *Observation) {
	p.Status.Cycles = max(0, p.Status.Cycles-1)
	p.Status.RequestID, p.Status.RequestedAt = "", nil
	p.wait(reasons.PowerCycleFailed, "The power cycle was not begun: something else held the server.")
	p.After = recheck
}

// watching gives the machine time.
func (p *Plan) watching(o *Observation) {
	end := o.Now
	if p.Status.CycledAt != nil {
		end = p.Status.CycledAt.Add(time.Duration(o.Remediation.Spec.TimeoutOrDefault()) * time.Second)
	}
	left := end.Sub(o.Now)
	if left <= 0 || left > time.Duration(o.Remediation.Spec.TimeoutOrDefault()+60)*time.Second { // or a clock was set back
		p.next(o)
		return
	}
	p.After = left + time.Second
	if failed(o, p.Status.RequestID) {
		p.Ready = clusterapi.No(reasons.PowerCycleFailed, "The BMC did not confirm the power cycle: see the condition "+reasons.PowerReady+" of the server "+p.Status.Server+".")
		return
	}
	p.Ready = clusterapi.No(reasons.PowerCycled, fmt.Sprintf("The server %s was cycled (%d of %d); the machine may take until %s to be healthy again.",
		p.Status.Server, p.Status.Cycles, o.Remediation.Spec.RetriesOrDefault(), end.UTC().Format(time.RFC3339)))
}

func failed(o *Observation, id string) bool {
	if o.Server == nil || o.Server.Spec.Record == nil {
		return false
	}
	r := o.Server.Spec.Record.Power
	return r != nil && r.ID == id && r.Step == metal.PowerFailed
}

// replace leaves the machine to its owner for as long as it is unhealthy.
func (p *Plan) replace(o *Observation, reason, message string) {
	if p.Status.Phase == infra.RemediationReplacing {
		if old := meta.FindStatusCondition(p.Status.Conditions, clusterv1.ReadyCondition); old != nil {
			p.Ready = clusterapi.Condition{Status: old.Status, Reason: old.Reason, Message: old.Message}
		} else {
			p.Ready = clusterapi.No(reasons.StillUnhealthy, successor(o.Machine))
		}
	} else {
		p.Status.Phase, p.Ready = infra.RemediationReplacing, clusterapi.No(reason, message+" "+successor(o.Machine))
	}
	healthy := meta.FindStatusCondition(o.Machine.Status.Conditions, clusterv1.MachineHealthCheckSucceededCondition)
	left := meta.FindStatusCondition(o.Machine.Status.Conditions, clusterv1.MachineOwnerRemediatedCondition)
	p.Replace = healthy != nil && healthy.Status == metav1.ConditionFalse && (left == nil || left.Status == metav1.ConditionTrue)
}

func tried(cycles int32) string {
	switch cycles {
	case 0:
		return "The machine is unhealthy, and its remediation tries no power cycle."
	case 1:
		return "The machine is unhealthy after a power cycle."
	}
	return fmt.Sprintf("The machine is unhealthy after %d power cycles.", cycles)
}

// successor names who acts next.
func successor(m *clusterv1.Machine) string {
	if c := metav1.GetControllerOf(m); c != nil {
		return "The Machine is left to " + c.Kind + " " + c.Name + ", to be replaced."
	}
	return "No controller owns the Machine, so a person has to delete it."
}
