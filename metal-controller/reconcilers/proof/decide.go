package proof

import (
	"net/netip"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Pace of asking.
const (
	// first is how long the first pause is while a Talos is not proven to run; each further one is twice as long, up to last.
	first = 2 * time.Second
	last  = 15 * time.Second
	// calm is how often a Talos that was proven to run is asked again. It is recorded as the promise of our own asking, so that silence is judged as that of
	// a system that tells by itself.
	calm = time.Minute
	// quiet is how long questions may fail without a word to people: a machine that installs, or restarts, does not answer for a while.
	quiet = 10 * time.Minute
	// rest is how long a machine that took the order to restart may take to come up as something else before it is told again.
	rest = 10 * time.Minute
)

// subject is what a Server is asked for: one boot of one binding.
type subject struct {
	binding, boot string
	// address is what fetched the config of that boot.
	address netip.Addr
	// running: it was proven before to run.
	running bool
	// leaves: its claim is deleted, and its cluster is to take it out of etcd.
	leaves bool
	// restarts: it is given back, and nothing but its Talos can restart its machine.
	restarts bool
}

// memory is what is remembered of a subject: nothing that matters when it is lost.
type memory struct {
	about    subject
	asked    time.Time // when an answer was here, or was given up; zero before
	failures int       // in a row
	failing  time.Time // since when; zero when the last one did not
}

// after is the memory after one more question.
func (m memory) after(now time.Time, failed bool) memory {
	m.asked = now
	switch {
	case !failed:
		m.failures, m.failing = 0, time.Time{}
	case m.failures == 0:
		m.failures, m.failing = 1, now
	default:
		m.failures++
	}
	return m
}

// subjectOf is whom a record makes us ask: the Talos of a boot whose config left, and then the installed one. A binding that ends, a record of a backup and a
// boot that is late ask nobody.
func subjectOf(r *metal.ServerRecord, now time.Time) (subject, bool) {
	if r == nil || r.Claim == nil || r.Claim.BoundAt == nil || r.Claim.ConfigAt == nil || r.Release != nil || r.Unverified != nil {
		return subject{}, false
	}
	s := subject{binding: r.Claim.BindingID}
	var config *metal.ConfigRelease
	switch b, i := r.Boot, r.Installed; {
	case b != nil && b.Target == metal.BootTargetOS && b.Phase == metal.BootBooting && b.BindingID == s.binding && !now.After(b.Deadline.Time):
		s.boot, config = b.ID, b.Config
	case i != nil && i.BindingID == s.binding:
		s.boot, config, s.running = i.BootID, i.Config, i.RunningAt != nil
	}
	if config == nil {
		return subject{}, false
	}
	address, err := netip.ParseAddr(config.Source)
	s.address = address
	return s, err == nil
}

// due is when a subject is to be asked next.
func (m memory) due(now time.Time) time.Time {
	switch {
	case m.asked.IsZero():
		return now
	case m.about.restarts && m.failures == 0:
		return m.asked.Add(rest)
	case m.about.running:
		return m.asked.Add(calm)
	}
	return m.asked.Add(min(first<<min(m.failures, 8), last))
}

// of is the memory of a subject; another subject begins anew, but for the same Talos that was just proven to run.
func (m memory) of(s subject) memory {
	if m.about.binding == s.binding && m.about.boot == s.boot && m.about.leaves == s.leaves && m.about.restarts == s.restarts {
		m.about = s
		return m
	}
	return memory{about: s}
}
