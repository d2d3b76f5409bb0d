package lifecycle

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// ClaimVerdict says what a claim of an expected boot came to.
type ClaimVerdict string

// The verdicts.
const (
	// ClaimRefused: no such boot is expected now. Nothing changes.
	ClaimRefused ClaimVerdict = "Refused"
	// ClaimAccepted: first and only claimant, or the same one again.
	ClaimAccepted ClaimVerdict = "Accepted"
	// ClaimVoided: a second claimant; the boot is void for both.
	ClaimVoided ClaimVerdict = "Voided"
)

// ClaimBoot judges an agent that enrols with a boot id, at trust level 1 (DESIGN section 4): in the window that begins when the BMC reads on, or an agent acknowledged. The record that it returns is to be written, fenced by
// the resourceVersion of the Server that was read uncached, before the agent is answered; nil when nothing changes.
func ClaimBoot(s *metal.Server, c Caller, now time.Time) (*metal.ServerRecord, ClaimVerdict) {
	r := s.Spec.Record
	if r == nil || r.Boot == nil || c.Key == "" || c.BootID == "" || r.Boot.ID != c.BootID {
		return nil, ClaimRefused
	}
	b := r.Boot
	switch {
	case b.RestartedBy == c.Key: // it did not restart the machine, though it said so
		return nil, ClaimRefused
	case purposeOf(b).target != metal.BootTargetAgent: // an operating system never enrols, so whoever does is a stranger who read the script
		return nil, ClaimRefused
	case b.Phase == metal.BootClaimed && b.Claimant == c.Key:
		return nil, ClaimAccepted
	case b.Phase == metal.BootClaimed:
		return VoidBoot(s, c.BootID, reasons.BootVoided, now), ClaimVoided
	case b.Phase != metal.BootBooting, now.After(b.Deadline.Time): // before its BMC reads on, no agent can be that machine's; it tries again
		return nil, ClaimRefused
	}
	out := r.DeepCopy()
	at := metav1.NewTime(now.UTC().Truncate(time.Second))
	out.Boot.Phase, out.Boot.At, out.Boot.Claimant, out.Boot.ClaimedAt = metal.BootClaimed, at, c.Key, &at
	if byAgent(b) {
		out.Agent = &metal.AgentRecord{BootID: c.BootID, Key: c.Key, HeardAt: at}
	}
	return out, ClaimAccepted
}

// VoidBoot ends the expected boot of that id, since more than one machine was seen to use it. It returns the record to write, nil when the id is not
// that of a live boot.
func VoidBoot(s *metal.Server, bootID, reason string, now time.Time) *metal.ServerRecord {
	r := s.Spec.Record
	if r == nil || r.Boot == nil || bootID == "" || r.Boot.ID != bootID || r.Boot.Phase == metal.BootVoid || r.Boot.Phase == metal.BootSwitchingOff || r.Boot.Phase == metal.BootRestarting {
		return nil
	}
	out := r.DeepCopy()
	contest(out, reason, now)
	return out
}

// Believed says whether a caller's certificate still counts for a Server. Before acceptance any boot's does, for reporting only, unless an expected boot
// was claimed; after it only the claimant's of the expected boot.
func Believed(s *metal.Server, c Caller) bool {
	r := s.Spec.Record
	claimed := r != nil && r.Boot != nil && r.Boot.Phase == metal.BootClaimed
	if r == nil || r.Acceptance == nil && !claimed {
		return true
	}
	return proven(r, c)
}

// proven says that the caller is the claimant of the live expected boot: trust level 1.
func proven(r *metal.ServerRecord, c Caller) bool {
	return r != nil && r.Boot != nil && r.Boot.Phase == metal.BootClaimed && c.Key != "" && r.Boot.ID == c.BootID && r.Boot.Claimant == c.Key
}

// TrustLevel of a caller: 1 for the claimant of the expected boot, 0 for everybody else.
func TrustLevel(s *metal.Server, c Caller) int32 {
	if proven(s.Spec.Record, c) {
		return 1
	}
	return 0
}
