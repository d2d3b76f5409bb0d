package sightings

import "time"

// maxLocalBoots bounds the memory of scripts for the local disk; more than a few say nothing new.
const maxLocalBoots = 8

// Told remembers that a server's workload told, with its capability, that it runs. It wakes the server's readers only when it had not been heard for long.
func (s *Store) Told(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, at := s.of(server), s.now()
	if m == nil {
		return
	}
	if len(m.localBoots) > 0 || at.Sub(m.alive) > aliveNews {
		s.wake(server)
	}
	m.alive, m.localBoots = at, nil
}

// aliveNews is how long a silence must have been for its end to be news.
const aliveNews = time.Minute

// Alive is when the workload told last; zero when it did not since this process started.
func (s *Store) Alive(server string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.servers[server]; m != nil {
		return m.alive
	}
	return time.Time{}
}

// Notice says since when this memory knows the present word of a server's record. Words are not compared with any clock.
func (s *Store) Notice(server, word string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(server)
	if m == nil {
		return s.now() // memory is full; it stays on the safe side
	}
	if m.wordAt.IsZero() || m.word != word {
		m.word, m.wordAt = word, s.now()
	}
	return m.wordAt
}

// Since is how long ago a moment of this memory was, by the clock that noted it. That of a process goes on steadily when somebody sets the time, so no
// system turns silent by that.
func (s *Store) Since(at time.Time) time.Duration { return s.now().Sub(at) }

// Watch begins to listen anew: whoever judges silence by this memory begins now, and another may have heard what was told before.
func (s *Store) Watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = s.now()
}

// Watched is since when this memory listens for whoever judges silence by it.
func (s *Store) Watched() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// LocalBoot counts a sign that a server's machine does not run its system: it asked for its script and got its own disk, or its agent enrolled although no
// boot of an agent is expected. A neighbour can forge that.
func (s *Store) LocalBoot(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(server)
	if m == nil {
		return
	}
	if len(m.localBoots) >= maxLocalBoots {
		m.localBoots = m.localBoots[1:]
	}
	m.localBoots = append(m.localBoots, s.now())
	s.wake(server)
}

// LocalBoots is how often it did within that time, since its workload told last that it runs and since this process started; a few at most. What it did
// before its system was installed says nothing of that.
func (s *Store) LocalBoots(server string, within time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.now().Add(-within)
	if m := s.servers[server]; m != nil {
		for _, at := range m.localBoots {
			if at.After(since) {
				n++
			}
		}
	}
	return n
}
