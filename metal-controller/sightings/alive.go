package sightings

import "time"

// Hear remembers that the workload of a server told, with its capability, that it runs. It wakes nobody: workloads tell every few seconds.
func (s *Store) Hear(server string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.of(server); m != nil && at.After(m.alive) {
		m.alive = at
	}
}

// Alive is when the workload of a server last told that it runs; zero when it has not since the start.
func (s *Store) Alive(server string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.servers[server]; m != nil {
		return m.alive
	}
	return time.Time{}
}

// Watched is since when this store hears what it remembers. Silence of before it says nothing.
func (s *Store) Watched() time.Time { return s.since }
