package lifecycle

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// Word is what the record says that its system told, or the agent that waits; it is another one after each word that was written down. Empty when none was.
func Word(r *metal.ServerRecord) string {
	if !installed(r) {
		if r.Agent != nil {
			return agentWord(r.Agent)
		}
		return ""
	}
	i := r.Installed
	word := i.BootID
	for _, at := range []*metav1.Time{&i.At, i.RunningAt, i.HeardAt} {
		word += " "
		if at != nil {
			word += strconv.FormatInt(at.Unix(), 36)
		}
	}
	return word
}

// HeardUntil is until when the record speaks for its system, whose Word was seen to change then: it told just before, and possibly, unwritten, until the next
// writing was due. It is zero without a word.
func HeardUntil(r *metal.ServerRecord, then, now time.Time) time.Time {
	switch {
	case !installed(r):
		return time.Time{}
	case r.Installed.HeardAt == nil: // only the leader hears it, or nobody does
		return then
	case then.Add(pace(r.Installed)).Before(now):
		return then.Add(pace(r.Installed))
	}
	return now
}

// pace of writing down that a system was heard. What it leaves unwritten is added to what is written, so it makes no silence of a word.
func pace(i *metal.InstalledRecord) time.Duration {
	return max(2*time.Duration(i.EverySeconds)*time.Second, leastPace)
}
