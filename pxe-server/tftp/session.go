package tftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// session sends one file. It is pure but for reading the file: the caller passes packets and times in and sends what comes
// out.
//
//	begin ──▶ [OACK, waiting for ACK 0] ──▶ window of DATA, waiting for ACK ──▶ … ──▶ done
//	               │ no ACK: give up          │ time-out: send the window again, at most maxRepeats times in a row
type session struct {
	file          io.Reader
	block, window int
	oack          []byte // until it is acknowledged

	base  uint64   // number of the first block in pending; block numbers on the wire are its low 16 bits
	pend  [][]byte // sent and not acknowledged
	ended bool     // the last block was read

	proven   bool // the client acknowledged something
	repeats  int
	sentAt   time.Time
	rtt      time.Duration
	deadline time.Time
	firstACK time.Duration
	bytes    int64
}

const (
	maxRepeats = 12
	minWait    = 50 * time.Millisecond
	maxWait    = 2 * time.Second
)

var (
	errSilent  = errors.New("the client fell silent")
	errAborted = errors.New("the client ended the transfer")
)

func newSession(r request, file io.Reader, size int64, firstACK time.Duration) *session {
	s := &session{file: file, block: r.block, window: r.window, oack: r.oack(size), base: 1, firstACK: firstACK}
	orDefault(&s.block, defaultBlock)
	orDefault(&s.window, 1)
	return s
}

// begin returns the first packets: the OACK or the first block, one packet in any case.
func (s *session) begin(now time.Time) ([][]byte, error) {
	s.sentAt, s.deadline = now, now.Add(s.firstACK)
	if s.oack != nil {
		return [][]byte{s.oack}, nil
	}
	err := s.fill()
	return s.pend, err
}

// packet takes what the client sent. The transfer is over when done is true or err is set.
func (s *session) packet(now time.Time, b []byte) (out [][]byte, done bool, err error) {
	if len(b) < 4 {
		return nil, false, nil
	}
	switch binary.BigEndian.Uint16(b) {
	case opERROR:
		return nil, false, errAborted
	case opACK:
		return s.ack(now, binary.BigEndian.Uint16(b[2:]))
	}
	return nil, false, nil
}

func (s *session) ack(now time.Time, n uint16) (out [][]byte, done bool, err error) {
	// How many blocks n acknowledges. Zero is a duplicate of the ACK before: answering it would double every packet from
	// there on. More than we sent is a lie.
	count := int(n - uint16(s.base-1))
	if s.oack != nil {
		if n != 0 {
			return nil, false, nil
		}
		s.oack = nil
	} else if count == 0 || count > len(s.pend) {
		return nil, false, nil
	}
	s.measure(now)
	s.proven, s.repeats = true, 0
	for _, p := range s.pend[:count] {
		s.bytes += int64(len(p) - 4)
	}
	s.pend = s.pend[count:]
	s.base += uint64(count)
	if err := s.fill(); err != nil {
		return nil, false, err
	}
	s.sentAt, s.deadline = now, now.Add(s.wait())
	// After a loss within a window the client acknowledges what it has; the rest goes again (RFC 7440 section 4).
	return s.pend, len(s.pend) == 0, nil
}

// expired is called at the deadline.
func (s *session) expired(now time.Time) ([][]byte, error) {
	if !s.proven || s.repeats >= maxRepeats {
		return nil, errSilent
	}
	s.repeats++
	s.sentAt, s.deadline = now, now.Add(s.wait())
	return s.pend, nil
}

// wait is one and a half round trips (a copy too many does no harm), doubled with every repetition.
func (s *session) wait() time.Duration {
	return min(max(s.rtt*3/2, minWait)<<s.repeats, maxWait)
}

// measure smooths round trips as RFC 6298 does; repeated packets tell nothing (Karn).
func (s *session) measure(now time.Time) {
	d := now.Sub(s.sentAt)
	switch {
	case s.repeats > 0 || d < 0:
	case s.rtt == 0:
		s.rtt = d
	default:
		s.rtt += (d - s.rtt) / 8
	}
}

// fill reads blocks until the window is full. The last block is shorter than the others, perhaps empty.
func (s *session) fill() error {
	for len(s.pend) < s.window && !s.ended {
		b := make([]byte, 4+s.block)
		n, err := io.ReadFull(s.file, b[4:])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			s.ended = true
		case err != nil:
			return fmt.Errorf("reading the file: %w", err)
		}
		binary.BigEndian.PutUint16(b, opDATA)
		binary.BigEndian.PutUint16(b[2:], uint16(s.base+uint64(len(s.pend))))
		s.pend = append(s.pend, b[:4+n])
	}
	return nil
}
