// Package sightings keeps in memory what the agent's and the boot side's servers saw: boots, sessions, addresses, contradictions, progress.
//
// It is an adapter (layer 2) between them and the reconcilers. Nothing in it matters: all of it may be forged or lost at any moment, it never
// permits anything, and it is bounded. Each replica has its own; a replica without leadership writes boots and addresses into status itself, and
// tells of contradictions as events only: the condition comes when the leader sees them.
package sightings

import (
	"slices"
	"sync"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Limits of the memory.
const (
	// maxBoots is how many boots of one server are kept; status shows as many.
	maxBoots = 3
	// maxUnknown bounds boots of machines that no Server describes yet.
	maxUnknown = 1024
	// maxServers bounds servers that are remembered.
	maxServers = 20000
	// maxStages bounds one timeline; the API allows as many.
	maxStages = 32
	// maxConflict bounds the Servers of one contradiction.
	maxConflict = 16
	// conflictTTL is how long a contradiction is shown after it was last seen.
	conflictTTL = 10 * time.Minute
	// unservedTTL is how long a machine that does not get its boot is shown after it was told of last.
	unservedTTL = 10 * time.Minute
)

// Store is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu      sync.Mutex
	since   time.Time
	servers map[string]*seen
	unknown map[string]metal.BootTimeline
	order   []string // keys of unknown, oldest first
	dirty   map[string]struct{}
	signal  chan struct{}
}

// seen is what is remembered of one server.
type seen struct {
	boots      []metal.BootTimeline // newest first
	sessions   []string             // boot ids of connected agents, newest last
	addresses  []string
	conflict   []string
	conflictAt time.Time
	unserved   [2]string // why its machine does not get its boot, and its architecture
	unservedAt time.Time
	progress   *metal.WipeStatus // as it was last news
	alive      time.Time         // when the workload told last that it runs
	word       string            // what its record said of the workload when it was looked at last, and since when
	wordAt     time.Time
	localBoots []time.Time // scripts for the local disk since then, the newest last
}

// New is an empty store.
func New(now func() time.Time) *Store {
	return &Store{
		now: now, since: now(), servers: map[string]*seen{}, unknown: map[string]metal.BootTimeline{},
		dirty: map[string]struct{}{}, signal: make(chan struct{}, 1),
	}
}

// Signal gets a value when Drain has names.
func (s *Store) Signal() <-chan struct{} { return s.signal }

// Drain returns the servers of which something new was seen, and forgets that it is new.
func (s *Store) Drain() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.dirty))
	for n := range s.dirty {
		names = append(names, n)
	}
	clear(s.dirty)
	slices.Sort(names)
	return names
}

// Again marks a server as changed once more: what Drain gave out could not be written down.
func (s *Store) Again(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake(server)
}

// Forget drops what is known of a server that is gone.
func (s *Store) Forget(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.servers, server)
	delete(s.dirty, server)
}

// of returns the memory of a server, nil when there is no room for another. The caller holds the lock.
func (s *Store) of(server string) *seen {
	m := s.servers[server]
	if m == nil && len(s.servers) < maxServers {
		m = &seen{}
		s.servers[server] = m
	}
	return m
}

// wake marks a server as changed. The caller holds the lock.
func (s *Store) wake(server string) {
	s.dirty[server] = struct{}{}
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// Conflict remembers that one machine's evidence points to all of these Servers.
func (s *Store) Conflict(servers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	servers = slices.Clone(servers[:min(len(servers), maxConflict)]) // the rest shows as soon as these are corrected
	for _, name := range servers {
		m := s.of(name)
		if m == nil {
			continue
		}
		fresh := s.now().Sub(m.conflictAt) <= conflictTTL
		if !fresh || !slices.Equal(m.conflict, servers) {
			s.wake(name)
		}
		m.conflict, m.conflictAt = servers, s.now()
	}
}

// Conflicts names the other Servers that this one's evidence was seen to point to, lately.
func (s *Store) Conflicts(server string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.servers[server]
	if m == nil || s.now().Sub(m.conflictAt) > conflictTTL {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(m.conflict), func(n string) bool { return n == server })
}

// Unserved remembers why a server's machine does not get the boot that was chosen for it, and its architecture; an empty reason says that it does.
func (s *Store) Unserved(server, reason, arch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := [2]string{reason, arch}
	if reason == "" {
		now[1] = ""
	}
	if s.servers[server] == nil && reason == "" {
		return
	}
	m := s.of(server)
	if m == nil {
		return
	}
	if m.unserved != now || reason != "" && s.now().Sub(m.unservedAt) > unservedTTL {
		s.wake(server)
	}
	m.unserved, m.unservedAt = now, s.now()
}

// WhyUnserved is what Unserved was told lately; empty when the machine gets its boot, or nothing is known.
func (s *Store) WhyUnserved(server string) (reason, arch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.servers[server]
	if m == nil || s.now().Sub(m.unservedAt) > unservedTTL {
		return "", ""
	}
	return m.unserved[0], m.unserved[1]
}

// Connected remembers an agent's session until the returned function is called.
func (s *Store) Connected(server, bootID string) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(server)
	if m == nil {
		return func() {}
	}
	m.sessions, m.unserved = append(m.sessions, bootID), [2]string{}
	s.wake(server)
	return func() { s.disconnected(server, bootID) }
}

func (s *Store) disconnected(server, bootID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.servers[server]
	if m == nil {
		return
	}
	if i := slices.Index(m.sessions, bootID); i >= 0 {
		m.sessions = slices.Delete(m.sessions, i, i+1)
	}
	s.wake(server)
}

// Session is the boot of the agent that connected last; false when none is connected.
func (s *Store) Session(server string) (bootID string, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.servers[server]
	if m == nil || len(m.sessions) == 0 {
		return "", false
	}
	return m.sessions[len(m.sessions)-1], true
}

// At remembers the addresses that an agent said it has.
func (s *Store) At(server string, addresses []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.of(server); m != nil && !slices.Equal(m.addresses, addresses) {
		m.addresses = slices.Clone(addresses)
		s.wake(server)
	}
}

// Addresses are those that an agent of the server last said it has; nil when none did since the start.
func (s *Store) Addresses(server string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.servers[server]; m != nil {
		return slices.Clone(m.addresses)
	}
	return nil
}
