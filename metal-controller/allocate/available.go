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
	if m.Installation == installation && m.LetGo != nil {
		return one(reasons.UnmanagedHere, "this installation let it go")
	}
	if installation == "" || m.Installation != installation {
		return one(reasons.UnmanagedHere, "the installation "+m.Installation+" manages it")
	}
	return nil
}

// Unavailable says why a server cannot be taken now, whoever asks; nothing when it can. The record decides what is safe; the condition Ready, which the
// server reconciler computes out of more than the record, decides what is ready.
func Unavailable(s *metal.Server) []Reason {
	reason := unavailable(s)
	if reason == "" {
		return nil
	}
	return one(reason, words(s, reason))
}

// unavailable is the reason alone; empty when the server can be taken.
func unavailable(s *metal.Server) string {
	r := recorded(s)
	switch {
	case r.Claim != nil:
		return reasons.Claimed
	case r.Release != nil:
		return reasons.Releasing
	}
	if reason := withheld(s); reason != "" {
		return reason
	}
	if !wiped(r) || !ready(meta.FindStatusCondition(s.Status.Conditions, reasons.Ready)) {
		return reasons.NotReady
	}
	return ""
}

// withheld is what a person, or doubt, has against taking the server, whatever is on its disks.
func withheld(s *metal.Server) string {
	switch r := recorded(s); {
	case r.Quarantine != nil:
		return reasons.Quarantined
	case s.Spec.Cordoned:
		return reasons.Cordoned
	case has(s.Annotations, pausedAnnotation):
		return reasons.Paused
	case !s.Spec.Accepted || r.Acceptance == nil:
		return reasons.NotAccepted
	case r.Unverified != nil:
		return reasons.Restored
	case s.DeletionTimestamp != nil:
		return reasons.NotReady
	}
	return ""
}

// words are those of a reason that unavailable gave, with who ends it.
func words(s *metal.Server, reason string) string {
	r := recorded(s)
	switch reason {
	case reasons.Claimed:
		return "the claim " + r.Claim.Namespace + "/" + r.Claim.Name + " has it"
	case reasons.Releasing:
		return "it was given back by the claim " + r.Release.Namespace + "/" + r.Release.Name + " and is wiped before it is free"
	case reasons.Quarantined:
		return "it is quarantined (" + r.Quarantine.Reason + "): `ingot lift " + s.Name + "` ends it"
	case reasons.Cordoned:
		return "it is cordoned: `ingot uncordon " + s.Name + "` ends it"
	case reasons.Paused:
		return "it is paused: `ingot resume " + s.Name + "` ends it"
	case reasons.NotAccepted:
		return "nobody has accepted it: `ingot accept " + s.Name + "`"
	case reasons.Restored:
		return "its record comes from a backup: `ingot accept " + s.Name + "` when it may be wiped"
	}
	return notReady(s, r)
}

// notReady says what keeps a server that nobody has from being ready.
func notReady(s *metal.Server, r *metal.ServerRecord) string {
	c := meta.FindStatusCondition(s.Status.Conditions, reasons.Ready)
	switch {
	case s.DeletionTimestamp != nil:
		return "it is being deleted"
	case !wiped(r):
		return "its wipe is not verified" + because(c)
	}
	return "it is not ready" + because(c)
}

func wiped(r *metal.ServerRecord) bool { return r.Wipe != nil && r.Wipe.VerifiedAt != nil }

func ready(c *metav1.Condition) bool {
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == reasons.Available
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
