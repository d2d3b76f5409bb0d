package allocate

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// pausedAnnotation stops everything that Ingot would begin by itself.
const pausedAnnotation = "metal.ingot.dev/paused"

// foreign says that this installation does not manage the server.
func foreign(s *metal.Server, installation string) []Reason {
	m := recorded(s).ManagedBy
	if m == nil {
		return one(reasons.UnmanagedHere, "no installation manages it yet")
	}
	if installation == "" || m.Installation != installation {
		return one(reasons.UnmanagedHere, "the installation "+m.Installation+" manages it")
	}
	return nil
}

// Unavailable says why a server cannot be taken now, whoever asks; nothing when it can. The record decides what is safe; the condition Ready, which the
// server reconciler computes out of more than the record, decides what is ready.
func Unavailable(s *metal.Server) []Reason {
	r := recorded(s)
	switch {
	case r.Claim != nil:
		return one(reasons.Claimed, "the claim "+r.Claim.Namespace+"/"+r.Claim.Name+" has it")
	case r.Release != nil:
		return one(reasons.Releasing, "it was given back by the claim "+r.Release.Namespace+"/"+r.Release.Name+" and is wiped before it is free")
	case r.Quarantine != nil:
		return one(reasons.Quarantined, "it is quarantined ("+r.Quarantine.Reason+"): `ingot lift "+s.Name+"` ends it")
	case s.Spec.Cordoned:
		return one(reasons.Cordoned, "it is cordoned: `ingot uncordon "+s.Name+"` ends it")
	case has(s.Annotations, pausedAnnotation):
		return one(reasons.Paused, "it is paused: `ingot resume "+s.Name+"` ends it")
	case !s.Spec.Accepted || r.Acceptance == nil:
		return one(reasons.NotAccepted, "nobody has accepted it: `ingot accept "+s.Name+"`")
	case r.Unverified != nil:
		return one(reasons.Restored, "its record comes from a backup: `ingot accept "+s.Name+"` when it may be wiped")
	}
	return unready(s, r)
}

// unready says what keeps a server that nobody has from being ready.
func unready(s *metal.Server, r *metal.ServerRecord) []Reason {
	ready := meta.FindStatusCondition(s.Status.Conditions, reasons.Ready)
	switch {
	case s.DeletionTimestamp != nil:
		return one(reasons.NotReady, "it is being deleted")
	case r.Wipe == nil || r.Wipe.VerifiedAt == nil:
		return one(reasons.NotReady, "its wipe is not verified"+because(ready))
	case ready == nil || ready.Status != metav1.ConditionTrue || ready.Reason != reasons.Available:
		return one(reasons.NotReady, "it is not ready"+because(ready))
	}
	return nil
}

func because(c *metav1.Condition) string {
	if c == nil || c.Status == metav1.ConditionTrue {
		return ""
	}
	return " (" + c.Reason + "): " + c.Message
}

func has(m map[string]string, key string) bool {
	_, ok := m[key]
	return ok
}

func claimOf(s *metal.Server) *metal.ClaimRecord { return recorded(s).Claim }

// recorded is the record as it is, never nil.
func recorded(s *metal.Server) *metal.ServerRecord {
	if s.Spec.Record != nil {
		return s.Spec.Record
	}
	return &metal.ServerRecord{}
}
