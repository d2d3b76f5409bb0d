package rmcp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"time"
)

const (
	// idleTime ends a session (6.12.15), openingTime one that was never opened wholly.
	idleTime    = 60 * time.Second
	openingTime = 10 * time.Second
)

// session is an open or half-open session. Its keys are never printed.
type session struct {
	suite            suite
	peer             string
	consoleID, bmcID uint32
	// random numbers and names of RAKP message 1 and 2.
	consoleRandom, bmcRandom []byte
	role                     uint8
	user                     []byte
	sik, k1, k2              []byte

	active      bool
	level       uint8
	sent, heard uint32
	used        time.Time
	// last is the request that was answered last, with its answer.
	last, answer []byte
}

// table is the BMC's room for sessions.
type table struct {
	limit    int
	now      func() time.Time
	sessions []*session
	tally    Tally
}

// expire ends what was silent for too long.
func (t *table) expire() {
	now := t.now()
	t.sessions = slices.DeleteFunc(t.sessions, func(s *session) bool {
		limit := openingTime
		if s.active {
			limit = idleTime
		}
		return now.Sub(s.used) >= limit
	})
}

func (t *table) count() int {
	t.expire()
	return len(t.sessions)
}

// add makes room for a session; the same question of the same console again gets the same session. nil: there is no room.
func (t *table) add(fresh *session) *session {
	t.expire()
	for _, s := range t.sessions {
		if !s.active && s.peer == fresh.peer && s.consoleID == fresh.consoleID && s.suite.id == fresh.suite.id {
			return s
		}
	}
	if len(t.sessions) >= t.limit {
		t.tally.Refused++
		return nil
	}
	for fresh.bmcID == 0 || t.find(fresh.bmcID) != nil {
		var id [4]byte
		_, _ = rand.Read(id[:])
		fresh.bmcID = binary.LittleEndian.Uint32(id[:])
	}
	fresh.used = t.now()
	t.sessions = append(t.sessions, fresh)
	t.tally.Most = max(t.tally.Most, len(t.sessions))
	return fresh
}

// find gives the session of an ID, nil without one.
func (t *table) find(bmcID uint32) *session {
	for _, s := range t.sessions {
		if s.bmcID == bmcID {
			return s
		}
	}
	return nil
}

func (t *table) remove(s *session) {
	t.sessions = slices.DeleteFunc(t.sessions, func(x *session) bool { return x == s })
}

// endActive ends the sessions that are open; those that are being opened go on.
func (t *table) endActive() {
	t.sessions = slices.DeleteFunc(t.sessions, func(x *session) bool { return x.active })
}

// again says that a request was answered before, and how.
func (s *session) again(r request) []byte {
	if bytes.Equal(s.last, r.raw) {
		return s.answer
	}
	return nil
}
