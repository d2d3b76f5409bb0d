package sightings

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Steps of progress that are news. An agent tells every two seconds; each piece of news costs a write of status, so they are few.
const (
	// progressStep is how many percent one disk must have gone on.
	progressStep = 5
	// progressPause is how long a wipe may go on without being shown, so that it does not look dead.
	progressPause = 30 * time.Second
	// maxDisks bounds one report; the API allows as many.
	maxDisks = 256
)

// Progress remembers how far the wipe of a server is. It wakes the server's readers at news only: another task, another phase of a disk, five percent
// more of one, or half a minute later.
func (s *Store) Progress(server string, p metal.WipeStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(server)
	if m == nil {
		return
	}
	p.Disks = slices.Clone(p.Disks[:min(len(p.Disks), maxDisks)])
	p.UpdatedAt = metav1.NewTime(p.UpdatedAt.UTC().Truncate(time.Second))
	if m.progress == nil || news(m.progress, &p) {
		m.progress = &p
		s.wake(server)
	}
}

// ProgressOf is the progress as it was last news; nil when no agent told any since the start. It is shared by nobody.
func (s *Store) ProgressOf(server string) *metal.WipeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.servers[server]; m != nil {
		return m.progress.DeepCopy()
	}
	return nil
}

// news says whether b is worth a write after a.
func news(a, b *metal.WipeStatus) bool {
	if a.ID != b.ID || a.Generation != b.Generation || len(a.Disks) != len(b.Disks) || b.UpdatedAt.Sub(a.UpdatedAt.Time) >= progressPause {
		return true
	}
	for i, d := range b.Disks {
		old := a.Disks[i]
		if d.Serial != old.Serial || d.Phase != old.Phase || d.Percent >= old.Percent+progressStep || d.Percent < old.Percent {
			return true
		}
	}
	return false
}
