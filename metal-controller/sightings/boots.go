package sightings

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Boot adds to what was seen of one boot. A boot of an unknown machine is kept until Adopt names its server.
func (s *Store) Boot(server string, b metal.BootTimeline) {
	if b.ID == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if server == "" {
		s.keepUnknown(b)
		return
	}
	s.add(server, b)
}

// Adopt says that a boot is this server's, and adds a stage to it.
func (s *Store) Adopt(server, bootID, stage string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := metal.BootTimeline{ID: bootID, Stages: []metal.BootStage{{Stage: stage, At: micro(s.now())}}}
	if early, ok := s.unknown[bootID]; ok {
		b = join(early, b)
		delete(s.unknown, bootID)
		s.order = slices.DeleteFunc(s.order, func(id string) bool { return id == bootID })
	}
	s.add(server, b)
}

// After adds stages to the newest boot of a server: what its machine did next, outside of any boot that Ingot expects. Only the first time of each stage
// counts, so later restarts add nothing.
func (s *Store) After(server string, stages ...metal.BootStage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.servers[server]; m != nil && len(m.boots) > 0 {
		s.add(server, metal.BootTimeline{ID: m.boots[0].ID, Stages: stages})
	}
}

// Hint adds a stage that a machine told of itself to the boot with this id, which is one of the last of its server. It wakes nobody: what anybody on the
// segment can say must not be why anything is decided. Status shows it when it is written next.
func (s *Store) Hint(server, bootID, stage string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(server)
	if m == nil || bootID == "" || !slices.Contains(metal.ToldStages(), stage) {
		return
	}
	known := slices.ContainsFunc(m.boots, func(b metal.BootTimeline) bool { return b.ID == bootID })
	if known || len(m.boots) == 0 { // after a start nothing is in memory; where something is, an older boot would push a newer one out
		m.boots = insert(m.boots, metal.BootTimeline{ID: bootID, Stages: []metal.BootStage{{Stage: stage, At: micro(s.now())}}})
	}
}

// Boots are the boots seen of a server, the newest first.
func (s *Store) Boots(server string) []metal.BootTimeline {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.servers[server]
	if m == nil {
		return nil
	}
	return cloneBoots(m.boots)
}

// Merge joins what status shows with what was seen since, the newest first, at most three.
func Merge(shown, seen []metal.BootTimeline) []metal.BootTimeline {
	all := cloneBoots(shown)
	for _, b := range slices.Backward(seen) {
		all = insert(all, b)
	}
	return all
}

func (s *Store) keepUnknown(b metal.BootTimeline) {
	if _, known := s.unknown[b.ID]; !known {
		if len(s.order) >= maxUnknown {
			delete(s.unknown, s.order[0])
			s.order = s.order[1:]
		}
		s.order = append(s.order, b.ID)
	}
	s.unknown[b.ID] = join(s.unknown[b.ID], b)
}

// add wakes the server's readers only when b says something new.
func (s *Store) add(server string, b metal.BootTimeline) {
	m := s.of(server)
	if m == nil {
		return
	}
	before := cloneBoots(m.boots)
	m.boots = insert(m.boots, b)
	if !equality.Semantic.DeepEqual(before, m.boots) {
		s.wake(server)
	}
}

// insert joins b with the boot of the same id, or puts it first and drops the oldest.
func insert(boots []metal.BootTimeline, b metal.BootTimeline) []metal.BootTimeline {
	if i := slices.IndexFunc(boots, func(o metal.BootTimeline) bool { return o.ID == b.ID }); i >= 0 {
		boots[i] = join(boots[i], b)
		return boots
	}
	boots = slices.Insert(boots, 0, join(metal.BootTimeline{}, b))
	return boots[:min(len(boots), maxBoots)]
}

// join adds what b knows to a: the first sighting of a stage stays, stages are sorted by time.
func join(a, b metal.BootTimeline) metal.BootTimeline {
	out := metal.BootTimeline{ID: b.ID, Target: b.Target, Firmware: b.Firmware, Stages: slices.Clone(a.Stages)}
	if out.Target == "" {
		out.Target = a.Target
	}
	if out.Firmware == "" {
		out.Firmware = a.Firmware
	}
	for _, st := range b.Stages {
		st.At = micro(st.At.Time)
		known := slices.ContainsFunc(out.Stages, func(o metal.BootStage) bool { return o.Stage == st.Stage })
		if !known && len(out.Stages) < maxStages {
			out.Stages = append(out.Stages, st)
		}
	}
	slices.SortStableFunc(out.Stages, func(x, y metal.BootStage) int { return x.At.Compare(y.At.Time) })
	return out
}

// micro cuts to what the API keeps, so that a value read back equals the one written.
func micro(t time.Time) metav1.MicroTime {
	return metav1.NewMicroTime(t.UTC().Truncate(time.Microsecond))
}

func cloneBoots(boots []metal.BootTimeline) []metal.BootTimeline {
	out := make([]metal.BootTimeline, len(boots))
	for i := range boots {
		boots[i].DeepCopyInto(&out[i])
	}
	return out
}
