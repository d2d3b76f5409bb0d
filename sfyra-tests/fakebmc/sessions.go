package fakebmc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// session is one login. Its token is kept as a hash, so that nothing can print it.
type session struct {
	id    string
	token [sha256.Size]byte
	user  string
	used  time.Time
}

// sessions is the session table of one BMC.
type sessions struct {
	limit int
	now   func() time.Time

	mu    sync.Mutex
	next  int
	open  []session
	tally Tally
}

// Tally counts sessions since the start.
type Tally struct {
	// Opened were made, Refused found no room, Most were there at once.
	Opened, Refused, Most int
}

func newSessions(limit int, now func() time.Time) *sessions {
	return &sessions{limit: limit, now: now}
}

// create opens a session; ok is false when the table is full.
func (s *sessions) create(user string) (id, token string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if len(s.open) >= s.limit {
		s.tally.Refused++
		return "", "", false
	}
	s.next++
	s.tally.Opened++
	id, token = strconv.Itoa(s.next), rand.Text()
	s.open = append(s.open, session{id: id, token: sha256.Sum256([]byte(token)), user: user, used: s.now()})
	s.tally.Most = max(s.tally.Most, len(s.open))
	return id, token, true
}

// user finds the user of a token and keeps the session alive.
func (s *sessions) user(token string) (string, bool) {
	sum := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for i := range s.open {
		if subtle.ConstantTimeCompare(s.open[i].token[:], sum[:]) == 1 {
			s.open[i].used = s.now()
			return s.open[i].user, true
		}
	}
	return "", false
}

// remove ends a session; false when there is none of that id.
func (s *sessions) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.open)
	s.open = slices.DeleteFunc(s.open, func(x session) bool { return x.id == id })
	return len(s.open) < before
}

func (s *sessions) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	ids := []string{}
	for _, x := range s.open {
		ids = append(ids, x.id)
	}
	return ids
}

func (s *sessions) counted() Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally
}

func (s *sessions) count() int { return len(s.ids()) }

func (s *sessions) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = nil
}

// expire ends idle sessions. The lock is held.
func (s *sessions) expire() {
	limit := s.now().Add(-SessionTimeout)
	s.open = slices.DeleteFunc(s.open, func(x session) bool { return x.used.Before(limit) })
}

// authenticate finds the user of a request. presented says that it brought credentials.
func (b *BMC) authenticate(r *http.Request) (user string, presented bool) {
	if token := r.Header.Get("X-Auth-Token"); token != "" {
		if !b.faults.Get().EndsSessions() {
			user, _ = b.sessions.user(token)
		}
		return user, true
	}
	name, password, ok := r.BasicAuth()
	if ok && b.known(name, password) {
		return name, true
	}
	return "", ok
}

// known compares in constant time, by hash so that lengths do not show.
func (b *BMC) known(name, password string) bool {
	given := sha256.Sum256([]byte(name + "\x00" + password))
	right := sha256.Sum256([]byte(b.config.Username + "\x00" + b.config.Password))
	return subtle.ConstantTimeCompare(given[:], right[:]) == 1 && !b.faults.Get().Rotated
}
