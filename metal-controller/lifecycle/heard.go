package lifecycle

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// leastPace is how often at most the record says that a system was heard, however often it tells.
const leastPace = 2 * time.Minute

// Hear notes that a replica heard the record's system, whose word was taken before (VerdictAgain). The leader judges silence and does not know what others
// hear, so they write it down. It returns the record to write; nil when the one there is says enough.
func Hear(s *metal.Server, now time.Time) *metal.ServerRecord {
	i := s.Spec.Record.Installed
	if i == nil || i.HeardAt != nil && now.Sub(i.HeardAt.Time).Abs() < pace(i) { // one from a clock that ran ahead is written anew
		return nil
	}
	out, at := s.Spec.Record.DeepCopy(), whole(now)
	out.Installed.HeardAt = &at
	return out
}

// HeardUntil is until when the record speaks for its system: it was heard when HeardAt says, and possibly, unwritten, until the next writing was due. It is
// zero for a system that only the leader heard, and for times of a clock that ran ahead.
func HeardUntil(r *metal.ServerRecord, now time.Time) time.Time {
	if !installed(r) || r.Installed.HeardAt == nil || r.Installed.HeardAt.After(now) {
		return time.Time{}
	}
	if until := r.Installed.HeardAt.Add(pace(r.Installed)); until.Before(now) {
		return until
	}
	return now
}

// pace of writing down that a system was heard. What it leaves unwritten is added to what is written, so it makes no silence of a word.
func pace(i *metal.InstalledRecord) time.Duration {
	return max(2*time.Duration(i.EverySeconds)*time.Second, leastPace)
}
