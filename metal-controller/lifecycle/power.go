package lifecycle

import (
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Limits of a power request.
const (
	// requestMaxAge is how old a request may be when it starts. Older ones come from re-applied manifests and restored backups.
	requestMaxAge = 10 * time.Minute
	// skew is how much earlier than the object a request of it may look, since clocks differ a little.
	skew = 5 * time.Second
	// commandInterval is the least time between two commands to one BMC.
	commandInterval = 10 * time.Second
	// stepTimeout is how long one step may wait for its reading.
	stepTimeout = 5 * time.Minute
)

// powerRequest carries a person's one-time wish out: once for each id, with every step recorded before it is begun and read back after it.
//
//	(new id) ─▶ SwitchingOff ─read off─▶ SwitchingOn ─read on─▶ Done
//	   │             └── Off: read off ────────────────────────▶ Done
//	   └─ too old ─▶ Expired             no reading in 5 min ──▶ Failed
func powerRequest(o *Observation, p *Plan) {
	request, done := o.Server.Spec.PowerRequest, recorded(o).Power
	switch {
	case foreign(o):
	case restoredStep(o):
		p.step(o, done.ID, metal.PowerFailed)
	case request == nil:
		withdraw(o, p, done)
	case done == nil || done.ID != request.ID:
		begin(o, p, request)
	case !settled(done.Step):
		advance(o, p, request, done)
	}
	powerReady(o, p)
}

// dropStale takes back a command that still waits in the BMC plane after its step ended: what was wanted then must not happen later.
func dropStale(o *Observation, p *Plan) {
	r := p.present(o).Power
	wanted := r != nil && !settled(r.Step) && strings.HasPrefix(o.Power.Pending, commandPrefix(r.ID, r.Step))
	if b := p.present(o).Boot; b != nil && b.Phase != metal.BootVoid {
		wanted = wanted || strings.HasPrefix(o.Power.Pending, bootPrefix(b))
	}
	if f := p.present(o).Release; f != nil && f.OffAt == nil {
		wanted = wanted || strings.HasPrefix(o.Power.Pending, f.BindingID+".")
	}
	if o.Power.Pending != "" && !wanted && p.Action.Kind == NoAction && !foreign(o) {
		p.Action = Action{Kind: WithdrawPower}
	}
}

// fromBackup says that a request was made before the backup was restored that the record comes from.
func fromBackup(o *Observation, at metav1.Time) bool {
	u := recorded(o).Unverified
	return u != nil && at.Time.Before(u.Since.Time)
}

// restoredStep says that a step under way came with a backup: what was wanted then must not happen now.
func restoredStep(o *Observation) bool {
	r := recorded(o)
	return r.Unverified != nil && r.Power != nil && !settled(r.Power.Step) && r.Power.At.Time.Before(r.Unverified.Since.Time)
}

// withdraw ends a request that was taken back while it ran. What was begun stays as it is; nothing more is done.
func withdraw(o *Observation, p *Plan, done *metal.PowerRecord) {
	if done != nil && !settled(done.Step) {
		p.step(o, done.ID, metal.PowerFailed)
	}
}

// begin starts a request with a new id, or says why it never will.
func begin(o *Observation, p *Plan, request *metal.PowerRequest) {
	switch {
	case !fresh(o, request.RequestedAt), fromBackup(o, request.RequestedAt):
		p.step(o, request.ID, metal.PowerExpired)
	case noBMC(o):
		p.step(o, request.ID, metal.PowerFailed)
	case request.BindingID != "":
		p.remedy(o, request)
	case request.Action == metal.PowerActionOn:
		p.start(o, request.ID, metal.PowerSwitchingOn)
	case request.Action == metal.PowerActionOff, request.Action == metal.PowerActionCycle:
		p.start(o, request.ID, metal.PowerSwitchingOff)
	default:
		p.step(o, request.ID, metal.PowerFailed)
	}
}

// advance moves a running request on when its step was read back, repeats its command, or gives up.
func advance(o *Observation, p *Plan, request *metal.PowerRequest, done *metal.PowerRecord) {
	switch {
	case noBMC(o):
		p.step(o, request.ID, metal.PowerFailed)
	case readBack(o, done) && done.Step == metal.PowerSwitchingOff && request.Action == metal.PowerActionCycle:
		p.start(o, request.ID, metal.PowerSwitchingOn)
	case readBack(o, done):
		p.step(o, request.ID, metal.PowerDone)
	case o.Now.Sub(done.At.Time).Abs() > stepTimeout: // also after a clock was set back: a request must not hold the BMC until it catches up
		p.step(o, request.ID, metal.PowerFailed)
	default:
		p.command(o, request.ID, done.Step)
		p.again(done.At.Add(stepTimeout).Sub(o.Now) + time.Second)
	}
}

// readBack says that the BMC told the wanted state after the step began: after a command of this step, or at a later second. An older reading
// proves nothing.
func readBack(o *Observation, done *metal.PowerRecord) bool {
	wanted := metal.PowerOff
	if done.Step == metal.PowerSwitchingOn {
		wanted = metal.PowerOn
	}
	after := strings.HasPrefix(o.Power.Done, commandPrefix(done.ID, done.Step)) || o.Power.At.After(done.At.Time)
	return o.Power.Reason == reasons.BMCAnswers && o.Power.State == wanted && after
}

// settled says that nothing more is done for the step's request.
func settled(s metal.PowerStep) bool {
	return s != metal.PowerSwitchingOff && s != metal.PowerSwitchingOn
}

// step records how far the request got. The API keeps whole seconds, so the time is rounded up: a reading of the same second never counts as read back.
func (p *Plan) step(o *Observation, id string, s metal.PowerStep) {
	r := p.record(o)
	at := o.Now.UTC().Truncate(time.Second).Add(time.Second)
	old := r.Power
	r.Power = &metal.PowerRecord{ID: id, Step: s, At: metav1.NewTime(at)}
	if old != nil {
		r.Power.Cycles = old.Cycles
	}
	p.Record = r
}

// start records a step that needs the BMC and gives its first command.
func (p *Plan) start(o *Observation, id string, s metal.PowerStep) {
	p.step(o, id, s)
	if s == metal.PowerSwitchingOn && wantsAgent(o, p) && poweredOff(o) {
		p.expect(o, purpose{target: metal.BootTargetAgent}, metal.BootSwitchingOn, 0)
	}
	p.command(o, id, s)
}

// wantsAgent says that the next boot of an accepted server should be one that trust can rest on, although a person asked for it.
func wantsAgent(o *Observation, p *Plan) bool {
	r := p.record(o)
	dirty := r.Acceptance == nil || r.Release != nil || r.Unverified != nil || r.Wipe == nil || r.Wipe.VerifiedAt == nil
	return o.Server.Spec.Accepted && r.Claim == nil && dirty && !stopsBoot(permitServer(o, r).reason)
}

// command orders what the step of a request needs.
func (p *Plan) command(o *Observation, id string, s metal.PowerStep) {
	kind := EnsurePowerOff
	if s == metal.PowerSwitchingOn {
		kind = switchOn(o, p)
	}
	p.order(o, id, commandPrefix(id, s), kind)
}

// order hands a command to the BMC, unless one with this prefix is under way, the last one is too recent, or it would be useless.
func (p *Plan) order(o *Observation, id, prefix string, kind ActionKind) {
	if old := o.Server.Status.PendingAction; old != nil && old.ID == id && old.Kind == string(kind) {
		p.Pending = old.DeepCopy()
	}
	if strings.HasPrefix(o.Power.Pending, prefix) || !commandable(o) || p.Action.Kind != NoAction {
		p.again(commandInterval)
		return
	}
	if wait := tooSoon(o); wait > 0 {
		p.again(wait)
		return
	}
	p.again(commandInterval)
	p.Action = Action{Kind: kind, ID: prefix + strconv.FormatInt(o.Now.UnixNano(), 36)}
	p.Pending = &metal.PendingAction{ID: id, Kind: string(kind), Since: metav1.NewTime(o.Now.UTC().Truncate(time.Second))}
}

// switchOn lets a machine that never registered netboot, or it would go on booting a disk that is first in its order and never be known.
// A registered one keeps its order: it is left as it was found (rule 7 of DESIGN section 3).
func switchOn(o *Observation, p *Plan) ActionKind {
	if b := p.present(o).Boot; o.Inventory == nil || b != nil && b.Phase == metal.BootSwitchingOn {
		return EnsurePowerOnFromNetwork
	}
	return EnsurePowerOn
}

// commandPrefix is what the ids of all commands of one step begin with.
func commandPrefix(id string, s metal.PowerStep) string { return id + "." + string(s) + "." }

// tooSoon is how long the next command has to wait for the last one, by this process's memory and by status. A time that is far in the future
// comes from a clock that was set back, and does not count.
func tooSoon(o *Observation) (wait time.Duration) {
	last := []time.Time{o.Power.CommandAt}
	if pending := o.Server.Status.PendingAction; pending != nil {
		last = append(last, pending.Since.Time)
	}
	for _, at := range last {
		if age := o.Now.Sub(at); age.Abs() < commandInterval {
			wait = max(wait, min(commandInterval-age, commandInterval))
		}
	}
	return wait
}

// commandable says that a command could reach a BMC with credentials.
func commandable(o *Observation) bool {
	return !noBMC(o) && o.Power.Reason != reasons.CredentialsMissing && o.Power.Reason != reasons.BMCCertificateChanged
}

// powerReady says how the last request went, out of the record as it will be.
func powerReady(o *Observation, p *Plan) {
	request, r := o.Server.Spec.PowerRequest, p.present(o).Power
	if request == nil || foreign(o) || r == nil {
		p.set(reasons.PowerReady, True, reasons.NoPowerRequest, "Nobody asks for a change of power.")
		return
	}
	switch r.Step {
	case metal.PowerDone:
		p.set(reasons.PowerReady, True, reasons.PowerRequestDone, "The BMC confirmed the power request "+r.ID+".")
	case metal.PowerExpired:
		p.set(reasons.PowerReady, False, reasons.PowerRequestExpired,
			"The power request "+r.ID+" was not made within ten minutes of now when Ingot saw it, so it was dropped: ask again with `ingot power`.")
	case metal.PowerSwitchingOff, metal.PowerSwitchingOn:
		p.set(reasons.PowerReady, False, reasons.PowerRequestRunning, "Waiting for the BMC to confirm "+offOrOn(r.Step)+".")
	default:
		p.set(reasons.PowerReady, False, reasons.PowerRequestFailed, whyFailed(o, r.ID))
	}
}

func offOrOn(s metal.PowerStep) string {
	if s == metal.PowerSwitchingOff {
		return "off"
	}
	return "on"
}

// whyFailed names the next actor after a failed request.
func whyFailed(o *Observation, id string) string {
	if noBMC(o) {
		return "The server declares no BMC, so a person must press its power button; the power request " + id + " was dropped."
	}
	if q := o.Server.Spec.PowerRequest; q.BindingID != "" && !begun(recorded(o).Power, id) {
		return "The power cycle " + id + " that a remediation asked for was not begun: something else holds the server, or held it then."
	}
	return "The BMC did not confirm the power request " + id + " within five minutes: see the condition " + reasons.BMCReachable + ", then ask again with `ingot power`."
}
