package lifecycle

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Limits of an expected boot.
const (
	// bootTimeout is how long a machine that reads on may take until its agent is there. Large servers test their memory for ten minutes.
	bootTimeout = 20 * time.Minute
	// installTimeout is how long it may take until its operating system is installed.
	installTimeout = 40 * time.Minute
	// maxAttempts in attemptWindow: a machine that does not come up is not cycled for ever.
	maxAttempts   = 3
	attemptWindow = time.Hour
	// voidPause is how long a boot that two machines claimed keeps the next one back.
	voidPause = 2 * time.Minute
	// silence is how long a wipe may go on without a word of the agent.
	silence = 10 * time.Minute
	// offTimeout is how long a machine that was told to switch itself off may take.
	offTimeout = 5 * time.Minute
)

// expectedBoot starts, drives and ends the boot that trust level 1 rests on. A boot begins from a machine that its BMC reads off, since only that proves
// that nothing from before goes on running. One of the agent is claimed by its key; one of an operating system has its first and only fetch of the machine
// config instead, and ends when the system proves that it is installed (handover.go).
//
//	(needed) ─▶ SwitchingOff ─read off─▶ SwitchingOn ─read on─▶ Booting ─first claim─▶ Claimed ─switched itself off after a good receipt─▶ Void
//	                                                               └─ OS: proven installed ────────────────────────────────────────────▶ Void
//	                                 any timeout, power loss, second claimant ─▶ Void, and again: three times an hour
func expectedBoot(o *Observation, p *Plan) {
	if !foreign(o) {
		driveBoot(o, p)
	}
	bootExpected(o, p)
}

func driveBoot(o *Observation, p *Plan) {
	r := p.record(o)
	b := r.Boot
	if b == nil || b.Phase == metal.BootVoid {
		startBoot(o, p)
		return
	}
	if u := r.Unverified; u != nil && b.StartedAt.Time.Before(u.Since.Time) { // it came with a backup, and is not now
		p.void(o, u.Reason)
		return
	}
	if b.Phase != metal.BootVoid && noBMC(o) != byAgent(b) { // a BMC was declared, or taken away
		p.void(o, reasons.AwaitingPower)
		return
	}
	want, f := need(o, p)
	if f.ok() && want != purposeOf(b) && !requested(o, p) { // what it was for is over; something else is needed now
		p.void(o, "")
		return
	}
	p.againIf(f.after) // what else is needed may be ready later, as the config of a claim that took a server which waits in the agent
	switch b.Phase {
	case metal.BootSwitchingOff, metal.BootSwitchingOn:
		switching(o, p, b)
	case metal.BootRestarting:
		restarting(o, p, b)
	case metal.BootBooting:
		booting(o, p, b)
	case metal.BootClaimed:
		claimed(o, p, b)
	case metal.BootVoid:
	default:
		p.void(o, reasons.BootNotHonored)
	}
}

// whyNoBoot says what keeps Ingot from starting a boot by itself. Without a reason one is needed.
func whyNoBoot(o *Observation, p *Plan) refusal {
	_, f := need(o, p)
	return f
}

// unclaimedYes repeats what permitServer did not come to when it found no acceptance.
func unclaimedYes(o *Observation, r *metal.ServerRecord) bool {
	return r.Quarantine == nil && len(rivals(o)) == 0 && !paused(o) && !o.DryRun
}

// tooMany spaces attempts: after three the machine rests for an hour, and after a contested boot for a moment.
func tooMany(o *Observation, r *metal.ServerRecord) refusal {
	b := r.Boot
	if b == nil {
		return refusal{}
	}
	if age := o.Now.Sub(b.At.Time); contested(b) && age.Abs() < voidPause {
		return refusal{reason: reasons.BootVoided, message: "Two machines claimed the last boot; the next one begins in a moment.", after: min(voidPause-age, voidPause)}
	}
	if age := o.Now.Sub(b.At.Time); b.Reason == reasons.DiskBootFailed && age.Abs() < attemptWindow {
		return refusal{reason: reasons.DiskBootFailed, message: "The disks of the silent system hold data; Ingot looks again in an hour.", after: min(attemptWindow-age, attemptWindow)}
	}
	if age := o.Now.Sub(b.StartedAt.Time); b.Attempt >= maxAttempts && age.Abs() < attemptWindow {
		return refusal{
			reason: reasons.BootNotHonored, message: "The machine did not come up in the agent three times in a row (last: " + b.Reason + "); Ingot tries again in an hour." + notNetworked(o) + " " + lookAgain(o),
			after: min(attemptWindow-age, attemptWindow),
		}
	}
	return refusal{}
}

// lookAgain is what a person does about a machine that does not come up.
func lookAgain(o *Observation) string {
	if noBMC(o) {
		return "Look at its screen: the network has to be first in its boot order."
	}
	return "Look at its console, then `ingot power cycle " + o.Server.Name + "`."
}

// contested says that two machines used a boot, or its machine config.
func contested(b *metal.BootRecord) bool {
	return b.Phase == metal.BootVoid && (b.Reason == reasons.BootVoided || b.Reason == reasons.ConfigContested)
}

// startBoot begins an expected boot when one is needed and nothing is against it.
func startBoot(o *Observation, p *Plan) {
	want, f := need(o, p)
	if !f.ok() {
		p.againIf(f.after)
		return
	}
	if noBMC(o) { // its agent waits, so nothing else runs on it
		p.expect(o, want, metal.BootRestarting, nextAttempt(o, p.present(o).Boot))
		p.again(stepTimeout + time.Second)
		return
	}
	if !maySwitchOff(o, p.present(o)).ok() {
		return
	}
	// A BMC that lied once is tried again with the next attempt: its readings contradict the last order until another one is obeyed.
	if requested(o, p) || o.Power.Reason != reasons.BMCAnswers && o.Power.Reason != reasons.BMCLied {
		return
	}
	phase := metal.BootSwitchingOff
	if poweredOff(o) {
		phase = metal.BootSwitchingOn
	}
	p.expect(o, want, phase, nextAttempt(o, p.present(o).Boot))
	p.orderBoot(o)
}

// maySwitchOff wants a person's word before a machine that is on is switched: one that was accepted by its spec and blank disks alone may have got a system
// since, and the boot that showed the disks may have been an impostor's. An idle one is switched for nobody.
func maySwitchOff(o *Observation, r *metal.ServerRecord) refusal {
	switch {
	case r.Release != nil || r.Claim != nil || poweredOff(o):
		return refusal{}
	case r.Wipe != nil && r.Wipe.VerifiedAt != nil: // its wipe left it off, so somebody uses it since
		return refusal{reason: reasons.AwaitingPower, message: "The server is idle and on, and Ingot does not switch off what runs on it: whoever uses it shuts it down; then it waits in the agent."}
	case r.Acceptance == nil || r.Acceptance.RequestID != "":
		return refusal{}
	}
	return refusal{reason: reasons.AwaitingPower, message: "The server is accepted by its spec alone, and nobody said that it may be switched off: `ingot accept " + o.Server.Name +
		"` or `ingot power cycle " + o.Server.Name + "`."}
}

// nextAttempt counts within the window.
func nextAttempt(o *Observation, last *metal.BootRecord) int32 {
	if last == nil || last.Attempt >= maxAttempts || last.Reason == "" || o.Now.Sub(last.StartedAt.Time).Abs() > attemptWindow {
		return 1
	}
	return last.Attempt + 1
}

// expect records a new expected boot.
func (p *Plan) expect(o *Observation, want purpose, phase metal.BootPhase, attempt int32) {
	deadline := stepTimeout
	if phase != metal.BootRestarting { // that of the acknowledgement: the boot itself gets its own then
		deadline += patience(want.target)
	}
	p.edit(o, func(r *metal.ServerRecord) {
		r.Boot = &metal.BootRecord{
			ID: o.NewID, Phase: phase, Attempt: attempt, StartedAt: second(o), At: stamp(o), Deadline: metav1.NewTime(stamp(o).Add(deadline)),
			Target: want.target, BindingID: want.binding,
		}
	})
}

// patience is how long a boot may take from power-on.
func patience(target metal.BootTarget) time.Duration {
	if target == metal.BootTargetOS {
		return installTimeout
	}
	return bootTimeout
}

// stamp is now, rounded up: a reading of the same second never counts as read back.
func stamp(o *Observation) metav1.Time {
	return metav1.NewTime(o.Now.UTC().Truncate(time.Second).Add(time.Second))
}

// phase moves the boot on.
func (p *Plan) phase(o *Observation, phase metal.BootPhase) {
	p.edit(o, func(r *metal.ServerRecord) { r.Boot.Phase, r.Boot.At = phase, stamp(o) })
}

// void ends the boot.
func (p *Plan) void(o *Observation, reason string) {
	p.edit(o, func(r *metal.ServerRecord) { voidBoot(o, r, reason) })
	p.again(time.Second)
}

func voidBoot(o *Observation, r *metal.ServerRecord, reason string) {
	r.Boot.Phase, r.Boot.At, r.Boot.Reason = metal.BootVoid, second(o), reason
}

// requested says that a person's power request has the BMC.
func requested(o *Observation, p *Plan) bool {
	r := p.present(o).Power
	return r != nil && !settled(r.Step)
}

// personOff says that a person switched the server off and nobody wanted anything since.
func personOff(o *Observation, r *metal.ServerRecord) bool {
	q, done := o.Server.Spec.PowerRequest, r.Power
	return q != nil && q.Action == metal.PowerActionOff && done != nil && done.ID == q.ID && done.Step != metal.PowerExpired &&
		!since(r, q.RequestedAt.Time)
}

// since says that a person, or the claim that a person made or deleted, wanted something of the server after a moment.
func since(r *metal.ServerRecord, then time.Time) bool {
	return r.Acceptance != nil && !r.Acceptance.At.Time.Before(then) || bound(r) && !r.Claim.BoundAt.Time.Before(then) || r.Release != nil && !r.Release.At.Time.Before(then)
}

// switching waits for the BMC to read what was ordered, and orders it.
func switching(o *Observation, p *Plan, b *metal.BootRecord) {
	f := whyNoBoot(o, p)
	switch {
	case stops(p.present(o), f) && !requested(o, p):
		p.void(o, f.reason)
	case bootReadBack(o, b) && b.Phase == metal.BootSwitchingOff:
		p.phase(o, metal.BootSwitchingOn)
		p.orderBoot(o)
	case bootReadBack(o, b):
		p.phase(o, metal.BootBooting)
		p.edit(o, func(r *metal.ServerRecord) { r.Boot.Deadline = metav1.NewTime(stamp(o).Add(patience(b.Target))) })
		p.again(patience(b.Target))
	case o.Now.Sub(b.At.Time).Abs() > stepTimeout+time.Second:
		p.void(o, reasons.BootNotHonored)
	default:
		p.orderBoot(o)
		p.again(b.At.Add(stepTimeout).Sub(o.Now) + time.Second)
	}
}

// stops says that a boot on its way must not go on. A workload that a backup tells of may run on the machine.
func stops(r *metal.ServerRecord, f refusal) bool {
	return stopsBoot(f.reason) || r.Claim != nil && r.Unverified != nil
}

// stopsBoot says that a boot on its way must not go on: somebody took the yes back. Limits and waits only keep the next one from beginning.
func stopsBoot(reason string) bool {
	switch reason {
	case reasons.NotAccepted, reasons.Quarantined, reasons.Paused, reasons.DryRun, reasons.IdentityConflict, reasons.Wiped, reasons.AwaitingPower,
		reasons.BindingIncomplete, reasons.ClaimMissing, reasons.Releasing, reasons.Installed, reasons.KeptForReuse:
		return true
	}
	return false
}

// bootReadBack says that the BMC told the wanted state after the phase began.
func bootReadBack(o *Observation, b *metal.BootRecord) bool {
	wanted := metal.PowerOff
	if b.Phase == metal.BootSwitchingOn {
		wanted = metal.PowerOn
	}
	return o.Power.Reason == reasons.BMCAnswers && o.Power.State == wanted &&
		(strings.HasPrefix(o.Power.Done, bootPrefix(b)) || o.Power.At.After(b.At.Time))
}

func bootPrefix(b *metal.BootRecord) string { return b.ID + "." + string(b.Phase) + "." }

// orderBoot gives the command of the phase, unless a person's request has the BMC.
func (p *Plan) orderBoot(o *Observation) {
	b := p.present(o).Boot
	if requested(o, p) || p.Action.Kind != NoAction {
		p.again(commandInterval)
		return
	}
	kind := EnsurePowerOff
	if b.Phase == metal.BootSwitchingOn {
		kind = EnsurePowerOnFromNetwork
	}
	p.order(o, b.ID, bootPrefix(b), kind)
}

// booting waits for the first claim.
func booting(o *Observation, p *Plan, b *metal.BootRecord) {
	f := whyNoBoot(o, p)
	left := b.Deadline.Sub(o.Now)
	switch {
	case stops(p.present(o), f) && !requested(o, p):
		p.void(o, f.reason)
	case left <= 0 || left > patience(b.Target)+stepTimeout, wentOff(o, b.At.Time):
		p.void(o, reasons.BootNotHonored)
	default:
		p.again(left + time.Second)
	}
}

// ahead says that a moment was recorded by a clock that ran ahead.
func ahead(o *Observation, at time.Time) bool { return at.After(stamp(o).Add(time.Minute)) }

// wentOff says that the BMC read off after a moment.
func wentOff(o *Observation, since time.Time) bool { return poweredOff(o) && o.Power.At.After(since) }

func poweredOff(o *Observation) bool {
	return o.Power.Reason == reasons.BMCAnswers && o.Power.State == metal.PowerOff
}

// claimed watches over the machine while its agent works, and ends the boot with the proof or without.
func claimed(o *Observation, p *Plan, b *metal.BootRecord) {
	r := p.record(o)
	mine := r.Wipe != nil && r.Wipe.BootID == b.ID
	switch {
	case mine && proved(r) && byAgent(b):
		witnessed(o, p, r)
	case mine && proved(r):
		switchedItselfOff(o, p, r)
	case wentOff(o, b.At.Time) && accountOver(r): // it was told to
		p.void(o, "")
	case wentOff(o, b.At.Time):
		p.void(o, reasons.BootNotHonored)
	case mine && r.Wipe.Receipt == nil:
		listen(o, p, r)
	case !mine && !provenInventory(o, r):
		unreported(o, p, b)
	case b.BindingID != "" && bound(r):
		looked(o, p, b)
	case byAgent(b):
		stays(o, p, r)
	}
}

// unreported gives up a boot whose agent does not report the hardware: without it nothing ever comes of the boot.
func unreported(o *Observation, p *Plan, b *metal.BootRecord) {
	if quiet := o.Now.Sub(b.At.Time); quiet.Abs() > silence {
		p.void(o, reasons.BootNotHonored)
	} else {
		p.again(min(silence-quiet, silence) + time.Second)
	}
}

// switchedItselfOff is the proof that the agent that sent the receipt runs on this machine: told to switch it off, it did, and nobody else ordered it.
func switchedItselfOff(o *Observation, p *Plan, r *metal.ServerRecord) {
	told := r.Wipe.Receipt.At.Add(time.Second) // the API keeps whole seconds: a reading of the same second may be older than the receipt
	ours := r.Power != nil && r.Power.Step != metal.PowerExpired && !r.Power.At.Time.Before(told) && !r.Power.At.After(stamp(o).Time)
	ours = ours || o.Power.CommandAt.After(told) // of a request that was taken back while the BMC worked on it
	switch {
	case ahead(o, told): // nothing could be said to come after it for long
		p.void(o, reasons.OffNotProven)
	case wentOff(o, told) && ours:
		p.void(o, reasons.OffNotProven)
	case wentOff(o, told) && o.Erased == r.Wipe.ID:
		p.edit(o, func(r *metal.ServerRecord) {
			at := second(o)
			r.Wipe.VerifiedAt = &at
			endRelease(r)
			voidBoot(o, r, "")
		})
	case wentOff(o, told): // only now: what is signed must not rest on the word of an agent that may run elsewhere
		p.again(commandInterval)
		if p.Action.Kind == NoAction {
			p.Action = Action{Kind: PublishErase, ID: r.Wipe.ID}
		}
	case wentOff(o, r.Boot.At.Time): // it was off already when the receipt came, so another machine sent that
		p.void(o, reasons.OffNotProven)
	case o.Power.Reason == reasons.BMCLied && o.Now.Sub(told).Abs() > offTimeout: // it is believed again only once it obeys, so it needs another order
		p.void(o, reasons.OffNotProven)
	case poweredOn(o) && o.Power.At.Sub(told).Abs() > offTimeout:
		p.void(o, reasons.OffNotProven)
	default:
		p.askNow(o)
	}
}

// askNow reads the BMC now and again within moments, while everything waits for what it says.
func (p *Plan) askNow(o *Observation) {
	p.again(commandInterval)
	if p.Action.Kind == NoAction && o.Power.Pending == "" && !noBMC(o) && o.Now.Sub(o.Power.At) >= commandInterval {
		p.Action = Action{Kind: ReadPower}
	}
}

// listen gives up a wipe of which nothing was heard for long. Losing status makes it give up sooner at worst, and then the disks are wiped once more.
func listen(o *Observation, p *Plan, r *metal.ServerRecord) {
	heard := r.Boot.At.Time
	if r.Wipe.GrantedAt.After(heard) && !r.Wipe.GrantedAt.After(o.Now) { // later generations keep the time of the first, from whatever clock
		heard = r.Wipe.GrantedAt.Time
	}
	quiet := o.Now.Sub(heard).Abs()
	if w := o.Server.Status.Wipe; w != nil && w.ID == r.Wipe.ID && w.Generation == r.Wipe.Generation {
		quiet = min(quiet, o.Now.Sub(w.UpdatedAt.Time).Abs()) // status keeps it alive at most, whatever its clock says
	}
	if quiet > silence {
		p.void(o, reasons.WipeTimeout)
	} else {
		p.again(silence - quiet + time.Second)
	}
}

// bootExpected is the condition.
func bootExpected(o *Observation, p *Plan) {
	r := p.present(o)
	b, f := r.Boot, whyNoBoot(o, p)
	live := b != nil && b.Phase != metal.BootVoid
	switch {
	case foreign(o):
		p.set(reasons.BootExpected, Unknown, reasons.UnmanagedHere, ownedBy(o))
	case live && b.Phase == metal.BootClaimed:
		p.set(reasons.BootExpected, True, reasons.BootClaimed, "The agent of the boot that Ingot started is there.")
	case unserved(o) && (live || keptBack(r, f)):
		p.set(reasons.BootExpected, False, o.Unserved, imageMissing(o))
		p.again(unservedRecheck)
	case live:
		p.set(reasons.BootExpected, False, reasons.BootRunning, waitingFor(b)+notNetworked(o))
	case keptBack(r, f):
		p.set(reasons.BootExpected, False, f.reason, f.message)
	case !f.ok():
		p.set(reasons.BootExpected, True, reasons.BootNotNeeded, "No boot is needed now.")
	case !noBMC(o) && !maySwitchOff(o, r).ok():
		f = maySwitchOff(o, r)
		p.set(reasons.BootExpected, False, f.reason, f.message)
	case noBMC(o):
		p.set(reasons.BootExpected, False, reasons.BootRunning, "The agent that waits is about to be told to restart the machine.")
	default:
		p.set(reasons.BootExpected, False, reasons.BootRunning, "Waiting for the BMC, to start the boot: see the condition "+reasons.BMCReachable+".")
	}
}

// keptBack says that a boot is needed, and may not begin now.
func keptBack(r *metal.ServerRecord, f refusal) bool {
	switch f.reason {
	case reasons.AwaitingPower, reasons.BootNotHonored, reasons.BootVoided, reasons.DestructiveLimit, reasons.NotRegistered, reasons.BootRunning:
		return true
	}
	return r.Claim != nil && !f.ok() && f.reason != reasons.Installed
}

func waitingFor(b *metal.BootRecord) string {
	switch {
	case b.Phase == metal.BootSwitchingOff:
		return "Waiting for the BMC to read off, before the machine is started."
	case b.Phase == metal.BootSwitchingOn:
		return "Waiting for the BMC to read on."
	case b.Phase == metal.BootRestarting:
		return "Waiting for the agent that waits on the machine to acknowledge that it restarts it from the network."
	}
	until := b.Deadline.UTC().Format("15:04:05") + " UTC."
	switch {
	case b.Target != metal.BootTargetOS:
		return "The machine is on; waiting for its agent until " + until
	case b.Config == nil:
		return "The machine is on; waiting for it to fetch its machine config until " + until
	}
	return "The machine has its config; waiting for the proof that its system is installed until " + until
}
