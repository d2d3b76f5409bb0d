package lifecycle

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// PausedAnnotation stops everything that Ingot would begin by itself. What a person asks for is still done.
const PausedAnnotation = "metal.ingot.dev/paused"

// edit changes the planned record.
func (p *Plan) edit(o *Observation, change func(*metal.ServerRecord)) {
	r := p.record(o)
	change(r)
	p.Record = r
}

// second is now as the API keeps it.
func second(o *Observation) metav1.Time { return metav1.NewTime(o.Now.UTC().Truncate(time.Second)) }

// fresh says that a one-time request was made within ten minutes of now, and of this very object. Older ones come from Git and from backups, also when a
// Server was deleted and applied anew a minute after the gesture: what the person saw is not what the machine holds now.
func fresh(o *Observation, at metav1.Time) bool {
	born := o.Server.CreationTimestamp.Add(-skew)
	return o.Now.Sub(at.Time).Abs() <= requestMaxAge && !at.Time.Before(born)
}

// acceptance turns the operator's yes into a record: the gesture of a person at once, spec.accepted alone only by evidence (see wipe).
func acceptance(o *Observation, p *Plan) {
	if foreign(o) {
		return
	}
	r := p.record(o)
	if !o.Server.Spec.Accepted && r.Acceptance != nil && r.Claim == nil {
		p.edit(o, withdrawAcceptance)
	}
	if q := o.Server.Spec.AcceptRequest; q != nil && q.ID != r.AcceptRequest {
		accept(o, p, q)
	}
	pinBMC(o, p)
}

// withdrawAcceptance forgets what was confirmed: a later yes must not rest on what a person once knew.
func withdrawAcceptance(r *metal.ServerRecord) {
	r.Acceptance, r.Wipe, r.BMCPin, r.Release = nil, nil, nil, nil
}

// accept records the gesture once. A claimed server keeps its workload, and its disks stay out of reach.
func accept(o *Observation, p *Plan, q *metal.AcceptRequest) {
	p.edit(o, func(r *metal.ServerRecord) {
		r.AcceptRequest = q.ID
		restored := r.Unverified != nil && q.RequestedAt.Time.Before(r.Unverified.Since.Time)
		if !fresh(o, q.RequestedAt) || restored || !o.Server.Spec.Accepted || r.Claim != nil {
			return
		}
		level := q.Level
		if level == "" {
			level = metal.WipeClear
		}
		if r.Wipe != nil && r.Boot != nil { // the boot of another grant must not carry on under this one
			voidBoot(o, r, "")
		}
		if r.Boot != nil {
			r.Boot.Attempt = 0
		}
		if r.Unverified != nil { // what a workload had at the time of the backup says nothing of what is there now
			r.Release = nil
		}
		r.Acceptance = &metal.AcceptanceRecord{At: second(o), RequestID: q.ID, Level: level, Disks: append([]metal.DiskID(nil), q.WipeData...)}
		r.Unverified, r.Wipe, r.BMCPin = nil, nil, nil
	})
	if r := p.Record; r.Acceptance == nil || r.Acceptance.RequestID != q.ID {
		p.Events = append(p.Events, Event{
			Warning: true, Reason: reasons.AcceptRequestExpired,
			Message: "The accept request " + q.ID + " was dropped: it is older than ten minutes or than the Server itself, or the server is claimed or not accepted. Ask again with `ingot accept " + o.Server.Name + "`.",
		})
	}
}

// pinBMC remembers the certificate that the BMC shows once the server is accepted.
func pinBMC(o *Observation, p *Plan) {
	r := p.record(o)
	if r.Acceptance == nil || r.BMCPin != nil || noBMC(o) || o.Server.Spec.BMC.TLSFingerprint != "" ||
		o.Power.Reason != reasons.BMCAnswers || o.Power.PinSeen == "" {
		return
	}
	p.edit(o, func(r *metal.ServerRecord) { r.BMCPin = &metal.BMCPin{SHA256: o.Power.PinSeen, At: second(o)} })
}

// quarantine does a person's wish once.
func quarantine(o *Observation, p *Plan) {
	q := o.Server.Spec.QuarantineRequest
	if foreign(o) || q == nil || q.ID == p.present(o).QuarantineRequest {
		return
	}
	p.edit(o, func(r *metal.ServerRecord) {
		r.QuarantineRequest = q.ID
		switch {
		case !fresh(o, q.RequestedAt):
		case q.Action == metal.QuarantineLift:
			lift(o, r)
		case q.Action == metal.QuarantineSet && r.Quarantine == nil:
			r.Quarantine = &metal.QuarantineRecord{Reason: reasons.QuarantineByPerson, Message: q.Message, At: second(o)}
		}
	})
}

// lift restores the state before. After a failed wipe that is the wipe, which begins again in a new boot under the same grant.
func lift(o *Observation, r *metal.ServerRecord) {
	if r.Quarantine != nil && r.Quarantine.Reason == reasons.WipeFailed && r.Wipe != nil {
		r.Wipe.Receipt = nil
		if r.Boot != nil {
			voidBoot(o, r, "")
			r.Boot.Attempt = 0
		}
	}
	r.Quarantine = nil
}

func paused(o *Observation) bool {
	_, ok := o.Server.Annotations[PausedAnnotation]
	return ok
}

// schedulable says whether a claim may take the server, apart from its being clean.
func schedulable(o *Observation, p *Plan) {
	r := p.record(o)
	switch {
	case r.Quarantine != nil:
		p.set(reasons.Schedulable, False, reasons.Quarantined, quarantineMessage(o, r))
	case paused(o):
		p.set(reasons.Schedulable, False, reasons.Paused, "Paused by the annotation "+PausedAnnotation+": Ingot begins nothing by itself; `ingot resume "+o.Server.Name+"` ends it.")
	case o.Server.Spec.Cordoned:
		p.set(reasons.Schedulable, False, reasons.Cordoned, "Cordoned: no new claim takes it; `ingot uncordon "+o.Server.Name+"` ends it.")
	default:
		p.set(reasons.Schedulable, True, reasons.NothingAgainst, "Nothing keeps claims away.")
	}
}

func quarantineMessage(o *Observation, r *metal.ServerRecord) string {
	m := "Quarantined (" + r.Quarantine.Reason + ")"
	if r.Quarantine.Message != "" {
		m += ": " + strings.TrimSuffix(r.Quarantine.Message, ".")
	}
	return m + ". When it is put right: `ingot lift " + o.Server.Name + "`."
}
