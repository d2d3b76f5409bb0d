package rmcp

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
)

// Status codes of RMCP+ and RAKP (table 13-15).
const (
	statusNoRoom         = 0x01
	statusBadSession     = 0x02
	statusBadAuth        = 0x04
	statusBadPrivilege   = 0x0a
	statusBadName        = 0x0d
	statusBadCode        = 0x0f
	statusNoSuite        = 0x11
	longestName          = 16
	rakp1Size, rakp3Size = 28, 8
	openSize             = 32
)

// open answers an Open Session Request (13.17, 13.18). Each of the three records names one algorithm, or any by a length of 0.
func (b *BMC) openSession(p []byte, peer string) []byte {
	if len(p) < openSize {
		return nil
	}
	short := func(status uint8) []byte { return plus(payloadOpened, append([]byte{p[0], status, 0, 0}, p[4:8]...)) }
	chosen, ok := b.choose(p[12], p[20], p[28])
	if !ok {
		return short(statusNoSuite)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.config.Faults.Get().Full {
		b.table.tally.Refused++
		return short(statusNoRoom)
	}
	s := b.table.add(&session{suite: chosen, peer: peer, consoleID: binary.LittleEndian.Uint32(p[4:])})
	if s == nil {
		return short(statusNoRoom)
	}
	reply := append([]byte{p[0], 0, b.config.Privilege, 0}, p[4:8]...) // the most that anybody may do
	reply = append(reply, le32(s.bmcID)...)
	for kind, algorithm := range []uint8{chosen.auth, chosen.integrity, chosen.crypt} {
		reply = append(reply, uint8(kind), 0, 0, 8, algorithm, 0, 0, 0)
	}
	return plus(payloadOpened, reply)
}

// choose finds the suite of the algorithms among those that it has.
func (b *BMC) choose(auth, integrity, crypt uint8) (suite, bool) {
	for _, id := range b.config.Suites {
		if s, ok := suites()[id]; ok && s.auth == auth && s.integrity == integrity && s.crypt == crypt {
			return s, true
		}
	}
	return suite{}, false
}

// rakp1 answers RAKP message 1 with message 2 (13.20, 13.21).
func (b *BMC) rakp1(p []byte, peer string) []byte {
	if len(p) < rakp1Size {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table.expire()
	s := b.table.find(binary.LittleEndian.Uint32(p[4:]))
	if s == nil || s.active || s.peer != peer {
		return plus(payloadRAKP2, []byte{p[0], statusBadSession, 0, 0, 0, 0, 0, 0})
	}
	if status := b.judge(p); status != 0 {
		b.table.remove(s)
		return plus(payloadRAKP2, append([]byte{p[0], status, 0, 0}, le32(s.consoleID)...))
	}
	if s.bmcRandom == nil {
		s.bmcRandom = make([]byte, 16)
		_, _ = rand.Read(s.bmcRandom)
	}
	s.consoleRandom, s.role, s.user, s.level = clone(p[8:24]), p[24], clone(p[rakp1Size:rakp1Size+int(p[27])]), User
	s.used = b.config.Now()
	reply := append([]byte{p[0], 0, 0, 0}, le32(s.consoleID)...)
	reply = append(append(reply, s.bmcRandom...), b.guid[:]...)
	code := s.suite.mac(b.key(s), le32(s.consoleID), le32(s.bmcID), s.consoleRandom, s.bmcRandom, b.guid[:], s.name())
	return plus(payloadRAKP2, append(reply, code...))
}

// judge looks at the user and the privilege of a RAKP message 1.
func (b *BMC) judge(p []byte) uint8 {
	n := int(p[27])
	switch {
	case n > longestName || rakp1Size+n > len(p), b.find(string(p[rakp1Size:rakp1Size+n])) == 0:
		b.table.tally.Presented++
		return statusBadName
	case p[24]&0x0f > b.users[b.find(string(p[rakp1Size:rakp1Size+n]))].privilege && !b.config.LateRefusal:
		return statusBadPrivilege
	}
	return 0
}

// rakp3 answers RAKP message 3 with message 4 (13.22, 13.23). A status in it ends the session.
func (b *BMC) rakp3(p []byte, peer string) []byte {
	if len(p) < rakp3Size {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table.expire()
	s := b.table.find(binary.LittleEndian.Uint32(p[4:]))
	short := func(status uint8, id uint32) []byte {
		return plus(payloadRAKP4, append([]byte{p[0], status, 0, 0}, le32(id)...))
	}
	switch {
	case s == nil || s.peer != peer || s.bmcRandom == nil:
		return short(statusBadSession, 0)
	case p[1] != 0:
		if !s.active {
			b.table.tally.Presented++ // the console found our proof wrong: it has another password
			b.table.remove(s)
		}
		return nil
	case !hmac.Equal(s.suite.mac(b.key(s), s.bmcRandom, le32(s.consoleID), s.name()), p[rakp3Size:]):
		b.table.tally.Presented++
		b.table.remove(s)
		return short(statusBadCode, s.consoleID)
	}
	b.activate(s)
	code := s.suite.mac(s.sik, s.consoleRandom, le32(s.bmcID), b.guid[:])[:s.suite.code]
	return plus(payloadRAKP4, append(append([]byte{p[0], 0, 0, 0}, le32(s.consoleID)...), code...))
}

// activate derives the keys (13.31, 13.32). A repeated RAKP message 3 changes nothing.
func (b *BMC) activate(s *session) {
	if s.active {
		return
	}
	s.active, s.used = true, b.config.Now()
	b.table.tally.Opened++
	b.table.tally.Presented++
	s.sik = s.suite.mac(b.key(s), s.consoleRandom, s.bmcRandom, s.name())
	constant := func(x byte) []byte {
		c := make([]byte, 20)
		for i := range c {
			c[i] = x
		}
		return c
	}
	s.k1, s.k2 = s.suite.mac(s.sik, constant(1)), s.suite.mac(s.sik, constant(2))
}

// name is role, length and name of the user, as they go into codes.
func (s *session) name() []byte { return append([]byte{s.role, uint8(len(s.user))}, s.user...) }

// key is the password of the session's user with zeros up to 20 bytes (13.31).
func (b *BMC) key(s *session) []byte {
	password := b.users[b.find(string(s.user))].password
	if b.config.Faults.Get().Rotated {
		password = "\x00" + password // nobody's: no password begins so
	}
	key := make([]byte, maxPassword)
	copy(key, password)
	return key
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }
