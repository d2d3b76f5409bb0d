package lifecycle

import (
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Limits where no BMC starts a boot.
const (
	// agentSilence is how long the agent that waits may be quiet. It is heard each minute, and that is written down every two.
	agentSilence = 6 * time.Minute
	// agentHears is how often an agent that waits looks for its task.
	agentHears = time.Minute
	// agentComes is how long after the acceptance the agent that registered the server may take to come again: its certificate of before counts no more.
	agentComes = time.Minute
	// witness is how long after the claim of an acknowledged boot a good receipt waits for somebody who contradicts: servers take minutes to come up.
	witness = 2 * time.Minute
)

// noBMC says that the server declares none. Such a server is restarted by its own agent. The one that enrolled last waits (record.agent); Ingot records the
// boot as Restarting and tells that agent alone; its acknowledgement, written before it is answered, opens the window in which the boot is claimed, as the
// reading of a BMC does elsewhere.
//
//	(needed, and an agent waits) ─▶ Restarting ─acknowledged─▶ Booting ─first claim─▶ Claimed ─good receipt, nobody contradicts─▶ verified; the agent waits on
//	            no acknowledgement in five minutes, any other agent of this server meanwhile ─▶ Void
func noBMC(o *Observation) bool { return o.Server.Spec.BMC == nil }

// byAgent says that no BMC has to do with the boot.
func byAgent(b *metal.BootRecord) bool { return b.Phase == metal.BootRestarting || b.RestartedBy != "" }

// live says that a boot is under way.
func live(r *metal.ServerRecord) bool { return r.Boot != nil && r.Boot.Phase != metal.BootVoid }

// awaited says that an agent may wait on the server, whatever boot it runs in: nobody needs another one, and nothing that is left as it is runs there.
func awaited(s *metal.Server, r *metal.ServerRecord) bool {
	switch {
	case s.Spec.BMC != nil, r.ManagedBy == nil:
		return false
	case r.Claim == nil:
		return s.Spec.Accepted
	case r.Release != nil:
		return r.Release.OffAt == nil && !doubtful(r)
	}
	return r.Unverified == nil && !installed(r)
}

// Await judges an agent that enrols for an accepted server without a BMC in a boot that it does not claim, at trust level 0. It returns the record to write
// as that of ClaimBoot, nil when nothing changes; false when it may not stay. An agent that comes while a boot is under way contradicts whoever acknowledged
// or claimed that: the boot is void for both.
func Await(s *metal.Server, c Caller, now time.Time) (*metal.ServerRecord, bool) {
	r := s.Spec.Record
	switch {
	case r == nil || c.Key == "" || c.BootID == "" || !awaited(s, r):
		return nil, false
	case Waits(s, c):
		return nil, true
	}
	out := r.DeepCopy()
	switch late := live(r) && r.Boot.Phase != metal.BootClaimed && now.After(r.Boot.Deadline.Time); {
	case late:
		contest(out, reasons.BootNotHonored, now)
	case live(r):
		contest(out, reasons.BootVoided, now)
	}
	out.Agent = &metal.AgentRecord{BootID: c.BootID, Key: c.Key, HeardAt: whole(now)}
	return out, true
}

// contest makes a boot void that a second machine used. Without a BMC a wipe that was verified rests on nothing but the claim of that boot, so it counts no
// more, nor does what it confirmed: what is on the disks now needs a person again, unless it is blank.
func contest(out *metal.ServerRecord, reason string, now time.Time) {
	b := out.Boot
	if byAgent(b) && out.Claim == nil && out.Wipe != nil && out.Wipe.BootID == b.ID && out.Wipe.VerifiedAt != nil {
		out.Wipe = nil
		if out.Acceptance != nil {
			out.Acceptance.Disks = nil
		}
	}
	forfeitAccount(out, whole(now))
	b.Phase, b.At, b.Reason = metal.BootVoid, whole(now), reason
}

// Waits says that the caller is the agent that the server's record names as waiting, or the one whose acknowledgement was written and maybe not answered.
func Waits(s *metal.Server, c Caller) bool {
	r := s.Spec.Record
	if r == nil || c.Key == "" || !awaited(s, r) {
		return false
	}
	if b := r.Boot; b != nil && b.Phase == metal.BootBooting && b.RestartedBy == c.Key {
		return true
	}
	return r.Agent != nil && r.Agent.Key == c.Key && r.Agent.BootID == c.BootID
}

// HearAgent notes that the agent that waits is there; one that was there before anybody accepted the server is taken for it. It returns the record to write;
// nil when the one there is says enough.
func HearAgent(s *metal.Server, c Caller, now time.Time) *metal.ServerRecord {
	r := s.Spec.Record
	if r == nil || c.Key == "" || !awaited(s, r) || live(r) && r.Boot.Phase == metal.BootBooting {
		return nil
	}
	switch a := r.Agent; {
	case a == nil && !Believed(s, c), a != nil && (a.Key != c.Key || a.BootID != c.BootID):
		return nil
	case a != nil && now.Sub(a.HeardAt.Time).Abs() < leastPace: // one from a clock that ran ahead is written anew
		return nil
	}
	out := r.DeepCopy()
	out.Agent = &metal.AgentRecord{BootID: c.BootID, Key: c.Key, HeardAt: whole(now)}
	return out
}

// AcknowledgeRestart judges an agent's word that it restarts its machine from the network for a boot. It is believed of the agent that was told so, once, in
// time. The record that it returns is to be written as that of ClaimBoot, before the agent is answered.
func AcknowledgeRestart(s *metal.Server, c Caller, bootID string, now time.Time) (*metal.ServerRecord, Verdict) {
	r := s.Spec.Record
	if r == nil || r.Boot == nil || bootID == "" || r.Boot.ID != bootID || !Waits(s, c) {
		return nil, VerdictRefused
	}
	switch b := r.Boot; {
	case b.Phase == metal.BootBooting && b.RestartedBy == c.Key:
		return nil, VerdictAgain
	case b.Phase != metal.BootRestarting, now.After(b.Deadline.Time):
		return nil, VerdictRefused
	}
	out := r.DeepCopy()
	b := out.Boot
	b.Phase, b.RestartedBy, b.At, b.Deadline = metal.BootBooting, c.Key, whole(now), whole(now.Add(patience(b.Target)))
	out.Agent = nil // by its own word it is gone
	return out, VerdictFirst
}

// restartTask tells the agent that waits to restart its machine; false when that is not its task. It may be told again until it has.
func restartTask(o *Observation, c Caller) (Task, bool) {
	r := o.Server.Spec.Record
	if r == nil || r.Boot == nil || !Waits(o.Server, c) || o.Now.After(r.Boot.Deadline.Time) || paused(o) || !o.Server.Spec.Accepted {
		return Task{}, false
	}
	b := r.Boot
	if b.Phase != metal.BootRestarting && (b.Phase != metal.BootBooting || b.RestartedBy != c.Key) {
		return Task{}, false
	}
	return Task{Kind: TaskRestart, Reason: reasons.BootRunning, BootID: b.ID, Message: "The machine restarts from the network: " + o.Server.Name + " needs a boot that Ingot began."}, true
}

// waitingTask is for an agent of an accepted server that is not proven: it stays, so that it can be told to restart the machine.
func waitingTask(o *Observation) Task {
	name := o.Server.Name
	return Task{Kind: TaskWait, Reason: reasons.Accepted, Message: name + " is accepted and has no BMC: its agent waits until the machine is needed; `ingot why " + name + "` says for what."}
}

// Retires says that the caller is the agent that waited on an idle server until that got a BMC: nobody needs it any more, and nobody but itself ends it, since
// Ingot switches no idle machine off. Any other agent of such a server is refused.
func Retires(s *metal.Server, c Caller) bool {
	r := s.Spec.Record
	if r == nil || r.Agent == nil || c.Key == "" || r.Agent.Key != c.Key || r.Agent.BootID != c.BootID {
		return false
	}
	idle := r.Acceptance != nil && r.Claim == nil && r.Unverified == nil && r.Wipe != nil && r.Wipe.VerifiedAt != nil && !live(r)
	return s.Spec.BMC != nil && s.Spec.Accepted && idle
}

// retiringTask switches the machine off once its BMC was heard: before that nobody could switch it on again.
func retiringTask(o *Observation) Task {
	name, r := o.Server.Name, o.Server.Spec.Record
	answers := slices.ContainsFunc(o.Server.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == reasons.BMCReachable && c.Status == metav1.ConditionTrue
	})
	if !answers || paused(o) || r.Quarantine != nil {
		return Task{Kind: TaskWait, Reason: reasons.Available, After: settle, Message: name + " has a BMC from now on; its agent waits until that answers."}
	}
	return Task{Kind: TaskPowerOff, Reason: reasons.Available, Message: name + " has a BMC from now on, and is idle: the machine is started through that when it is needed."}
}

// agentWaits says that the agent that waits was heard lately.
func agentWaits(o *Observation, r *metal.ServerRecord) bool {
	return r.Agent != nil && quietAgent(o) < agentSilence
}

// unattended says that nothing could start the server now: it has no BMC, and its agent is not there.
func unattended(o *Observation, r *metal.ServerRecord) bool { return noBMC(o) && !agentWaits(o, r) }

func quietAgent(o *Observation) time.Duration { return o.Now.Sub(o.AgentHeard).Abs() }

// gesture names what a person does at a machine without a BMC.
func gesture(o *Observation, r *metal.ServerRecord) refusal {
	if installed(r) {
		return refusal{reason: reasons.AwaitingPower, message: "Its system is silent, and its machine asks for its boot again and again: it does not boot from its disk. " + lookAt(o, r)}
	}
	if a := r.Acceptance; a != nil && r.Agent == nil {
		if age := o.Now.Sub(a.At.Time); age.Abs() < agentComes {
			return refusal{reason: reasons.BootRunning, message: "Waiting a moment for the agent of the machine to come.", after: min(agentComes-age, agentComes)}
		}
	}
	return refusal{
		reason:  reasons.AwaitingPower,
		message: "The server declares no BMC, and its agent is not there: press its power button, with the network first in its boot order; it netboots into the agent, and Ingot goes on.",
	}
}

// lookAt is what a person does about an installed system that is silent. Without a BMC nobody else can: only an agent that Ingot had restarted could look at its
// disks, and no agent is let in while a system is said to run there.
func lookAt(o *Observation, r *metal.ServerRecord) string {
	if !noBMC(o) {
		return "Look at its console: `ingot console " + o.Server.Name + "`."
	}
	return "The server declares no BMC: go to the machine, look at its screen, and press its power button if it hangs or is off. If its system cannot be saved, give it up: `ingot release " +
		r.Claim.Name + " -n " + r.Claim.Namespace + "`, then restart the machine from the network; its disks are wiped."
}

// RestartsItself says that the system of a server without a BMC may be told to restart its machine: the server is given back, and nothing proves yet that the
// system stopped.
func RestartsItself(s *metal.Server) bool {
	r := s.Spec.Record
	if r == nil || r.Release == nil || r.Release.OffAt != nil || r.Agent != nil || !installed(r) || r.Release.BindingID != r.Claim.BindingID {
		return false
	}
	_, held := s.Annotations[PausedAnnotation]
	return s.Spec.BMC == nil && !held && !doubtful(r)
}

// restarting waits for the acknowledgement.
func restarting(o *Observation, p *Plan, b *metal.BootRecord) {
	f := whyNoBoot(o, p)
	left := b.Deadline.Sub(o.Now)
	switch {
	case stops(p.present(o), f):
		p.void(o, f.reason)
	case left <= 0 || left > 2*stepTimeout, p.present(o).Agent == nil:
		p.void(o, reasons.BootNotHonored)
	default:
		p.again(left + time.Second)
	}
}

// witnessed ends a wipe with a good receipt where no BMC can say that the machine switched itself off: when nobody contradicts the claimant for a while. The
// agent waits on; the boot stays open to contradiction until any machine that it was meant for would have come up.
func witnessed(o *Observation, p *Plan, r *metal.ServerRecord) {
	age := o.Now.Sub(claimedAt(r.Boot).Time)
	switch {
	case r.Wipe.VerifiedAt != nil && age.Abs() < bootTimeout:
		p.again(min(bootTimeout-age, bootTimeout))
	case r.Wipe.VerifiedAt != nil:
		p.void(o, "")
	case age.Abs() < witness:
		p.again(min(witness-age, witness))
	case o.Erased == r.Wipe.ID:
		p.edit(o, func(r *metal.ServerRecord) {
			at := second(o)
			r.Wipe.VerifiedAt = &at
			endRelease(r)
		})
		p.again(time.Second)
	case p.Action.Kind == NoAction:
		p.again(commandInterval)
		p.Action = Action{Kind: PublishErase, ID: r.Wipe.ID}
	}
}

// claimedAt is when a boot was claimed; records of before that was written say when its phase began, which is the same or later.
func claimedAt(b *metal.BootRecord) metav1.Time {
	if b.ClaimedAt != nil {
		return *b.ClaimedAt
	}
	return b.At
}

// stays gives up a claimed boot whose agent is gone.
func stays(o *Observation, p *Plan, r *metal.ServerRecord) {
	if !agentWaits(o, r) {
		p.void(o, reasons.BootNotHonored)
		return
	}
	p.again(agentSilence - quietAgent(o) + time.Second)
}

// agentTarget says that a machine without a BMC shall netboot into an agent that waits: unless it holds a system that Ingot has not been allowed to wipe.
func agentTarget(o *Observation, r *metal.ServerRecord) bool {
	if !awaited(o.Server, r) || r.Acceptance == nil {
		return false
	}
	return r.Claim != nil || o.Inventory == nil || r.Wipe != nil && r.Wipe.VerifiedAt != nil || diskTrouble(o, judgeDisks(o, r)).ok()
}

// agentWord is what the record says of the agent that waits.
func agentWord(a *metal.AgentRecord) string {
	return "agent " + a.Key + " " + a.BootID + " " + strconv.FormatInt(a.HeardAt.Unix(), 36)
}
