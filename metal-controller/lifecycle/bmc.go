package lifecycle

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// The API promises that the time of a shown power reading is at most five minutes old while the BMC answers. A reading of the same state is
// written when it is powerRefresh younger than the shown one; BMCs are read each minute, and nobody wakes us for more of the same.
const (
	powerRefresh = 210 * time.Second
	powerRecheck = 30 * time.Second
	// credentialsRecheck is how often the Secret is read again while it is missing or refused: Secrets are not watched.
	credentialsRecheck = 20 * time.Second
)

// bmcReachable says whether the BMC answers and can be believed, and shows the power.
func bmcReachable(o *Observation, p *Plan) {
	status, reason := bmcVerdict(o)
	p.set(reasons.BMCReachable, status, reason, bmcMessage(o, reason))
	p.Power = shownPower(o, reason)
	if reason == reasons.CredentialsMissing || reason == reasons.BMCUnauthorized {
		p.again(credentialsRecheck)
	}
	if reason == reasons.BMCAnswers && p.Power.ObservedAt != nil {
		p.again(max(p.Power.ObservedAt.Add(powerRefresh).Sub(o.Now), powerRecheck))
	}
}

// bmcVerdict classifies the reading. An unknown word from the BMC plane counts as unreachable: it is no answer to build on.
func bmcVerdict(o *Observation) (Status, string) {
	if noBMC(o) {
		return False, reasons.NoBMC
	}
	switch o.Power.Reason {
	case reasons.BMCAnswers:
		return True, reasons.BMCAnswers
	case "", reasons.BMCNotAsked:
		return Unknown, reasons.BMCNotAsked
	case reasons.BMCUnauthorized, reasons.BMCUnsupported, reasons.BMCLied, reasons.BMCCertificateChanged, reasons.CredentialsMissing:
		return False, o.Power.Reason
	}
	return False, reasons.BMCUnreachable
}

// bmcFails says that there is a BMC, and that it was asked and does not do what a BMC must.
func bmcFails(o *Observation) bool {
	status, _ := bmcVerdict(o)
	return !noBMC(o) && status == False
}

// bmcMessage names the next actor for each verdict.
func bmcMessage(o *Observation, reason string) string {
	if reason == reasons.NoBMC {
		return "The server declares no BMC: a person presses its power button; set spec.bmc to let Ingot do it."
	}
	m := map[string]string{
		reasons.BMCAnswers:            "The BMC answers.",
		reasons.BMCNotAsked:           "Waiting for the first answer of the BMC.",
		reasons.BMCUnreachable:        "The BMC does not answer; an operator must check spec.bmc.endpoint, its port and the way to it.",
		reasons.BMCUnauthorized:       "The BMC refuses the credentials; an operator must correct the Secret " + o.Server.Spec.BMC.CredentialsSecret + " in " + metal.SystemNamespace + ".",
		reasons.BMCUnsupported:        "The BMC cannot do what Ingot needs; an operator must check spec.bmc.protocol and the BMC's firmware.",
		reasons.BMCLied:               "The BMC acknowledged a command, and reading back shows otherwise: it ignores orders, or reads the wrong way round. To find out, an operator must compare its word with the machine's own power lamp, then restart the BMC or update its firmware.",
		reasons.BMCCertificateChanged: "The BMC shows another certificate than the pinned one and got no credentials; an operator must check it and correct spec.bmc.tlsFingerprint.",
		reasons.CredentialsMissing:    "An operator must create the Secret " + o.Server.Spec.BMC.CredentialsSecret + " in " + metal.SystemNamespace + " with the keys username and password.",
	}[reason]
	if o.Power.Message != "" && reason != reasons.BMCAnswers && reason != reasons.BMCNotAsked {
		m += " (" + o.Power.Message + ")"
	}
	return m
}

// shownPower is what status shows. It keeps the old value while nothing changed and it is fresh enough, so that an idle server costs no writes.
func shownPower(o *Observation, reason string) *metal.PowerStatus {
	s := &metal.PowerStatus{State: metal.PowerUnknown}
	if reason == reasons.BMCAnswers && (o.Power.State == metal.PowerOn || o.Power.State == metal.PowerOff) {
		s.State = o.Power.State
	}
	if noBMC(o) || o.Power.At.IsZero() {
		return s
	}
	at := metav1.NewTime(o.Power.At.UTC().Truncate(time.Second))
	s.ObservedAt = &at
	old := o.Server.Status.Power
	if old == nil || old.State != s.State || old.ObservedAt == nil {
		return s
	}
	if age := at.Sub(old.ObservedAt.Time); age >= 0 && age < powerRefresh {
		return old.DeepCopy()
	}
	return s
}

// poweredOn says that the BMC can be believed and reads on.
func poweredOn(o *Observation) bool {
	return o.Power.Reason == reasons.BMCAnswers && o.Power.State == metal.PowerOn
}
