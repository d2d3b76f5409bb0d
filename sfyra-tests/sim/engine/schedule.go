package engine

import "time"

// event is something that happens at a moment; events of one moment happen in the order in which they were planned.
type event struct {
	at  time.Duration
	seq uint64
	run func()
}

// schedule is a heap of events.
type schedule struct {
	now    time.Duration
	seq    uint64
	events []event
}

// in plans f after d.
func (s *schedule) in(d time.Duration, f func()) {
	s.seq++
	s.push(event{at: s.now + max(d, 0), seq: s.seq, run: f})
}

// next takes the earliest event and moves the clock to it.
func (s *schedule) next() (func(), bool) {
	if len(s.events) == 0 {
		return nil, false
	}
	e := s.pop()
	s.now = e.at
	return e.run, true
}

// peek is when the next event happens.
func (s *schedule) peek() (time.Duration, bool) {
	if len(s.events) == 0 {
		return 0, false
	}
	return s.events[0].at, true
}

func (s *schedule) less(i, j int) bool {
	a, b := &s.events[i], &s.events[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (s *schedule) push(e event) {
	s.events = append(s.events, e)
	for i := len(s.events) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.less(i, up) {
			break
		}
		s.events[i], s.events[up] = s.events[up], s.events[i]
		i = up
	}
}

func (s *schedule) pop() event {
	e, last := s.events[0], len(s.events)-1
	s.events[0], s.events[last] = s.events[last], event{}
	s.events = s.events[:last]
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < last && s.less(c, least) {
				least = c
			}
		}
		if least == i {
			return e
		}
		s.events[i], s.events[least] = s.events[least], s.events[i]
		i = least
	}
}
